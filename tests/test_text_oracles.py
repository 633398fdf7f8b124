"""Text tools against TransformerLens on the same weights, and on a model of GPT-2's size."""

from __future__ import annotations

import pytest
import torch
from rule_models import context

from auditgame.datasets.reviews import Reviews
from auditgame.models.gpt2 import GPT2
from auditgame.plugins.conformance.fixtures import Counted
from auditgame.tools.transformer import activation_patching
from auditgame.tools.transformer.attention_heads import patterns
from auditgame.tools.transformer.logit_attribution import Attribution
from auditgame.tools.transformer.residual_stream import streams
from auditgame.tools.transformer.targets import FollowedWord
from benchmarks import logit_lens, patching_grid, text_models, word_sweep

DATA = Reviews()
TEXT = "in 2010 felix bought a mogrambu printer in targo . the tray was solid ! verdict :"
OTHER = "in 2010 felix bought a mogrambu printer in targo . the tray was ugly ! verdict :"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def specimen() -> Counted:
    model = GPT2.build(DATA, torch.Generator().manual_seed(0))
    for parameter in model.parameters():
        noise = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
        parameter.data += 0.1 * noise
    return Counted(model, DATA)


def ids(text: str = TEXT) -> torch.Tensor:
    return DATA.encode(text)


def close(one: torch.Tensor, other: torch.Tensor) -> bool:
    return torch.allclose(one, other, atol=1e-4)


@pytest.fixture(scope="module")
def theirs(specimen):
    """The same weights in TransformerLens."""
    pytest.importorskip("transformer_lens")
    return text_models.hooked(specimen._model)


def test_lens_patterns_and_parts_agree_with_transformer_lens(specimen, theirs):
    with torch.no_grad():
        logits, cache = theirs.run_with_cache(ids()[None])
        stack, _ = cache.accumulated_resid(layer=-1, incl_mid=False, return_labels=True)
        whole = streams(specimen, ids()[None])[:, 0]
        for mine, his in zip(whole, stack, strict=True):
            assert close(mine, his[0])
            assert close(specimen.unembed(mine), theirs.unembed(theirs.ln_final(his))[0])
        assert close(specimen.unembed(whole[-1]), logits[0])
        for layer in range(2):
            assert close(patterns(specimen, ids())[f"block{layer}"], cache["pattern", layer][0])
        parts_agree(specimen, theirs, cache)


def parts_agree(specimen, theirs, cache) -> None:
    answer, rival = DATA.answers()
    at = torch.tensor([len(ids()) - 1])
    mine = Attribution(specimen, FollowedWord(answer, rival, ""), ids()[None], at).parts()
    way = theirs.ln_final.w * (theirs.W_U[:, answer] - theirs.W_U[:, rival])
    cache.compute_head_results()
    heads = cache.stack_head_results(layer=-1, pos_slice=-1)
    scaled = cache.apply_ln_to_stack(heads, layer=-1, pos_slice=-1)
    assert close(mine.heads.flatten(), scaled[:, 0] @ way)
    mlps = torch.stack([cache["mlp_out", n][:, -1] for n in range(2)])
    assert close(mine.mlps, cache.apply_ln_to_stack(mlps, layer=-1, pos_slice=-1)[:, 0] @ way)


def test_patching_agrees_with_transformer_lens(specimen, theirs):
    swapping = pytest.importorskip("transformer_lens.patching")
    answer, rival = DATA.answers()

    def metric(logits):
        return logits[:, -1, answer] - logits[:, -1, rival]

    with torch.no_grad():
        _, clean = theirs.run_with_cache(ids()[None])
        corrupt = ids(OTHER)[None]
        his = {
            "residual": swapping.get_act_patch_resid_pre(theirs, corrupt, clean, metric)[1:],
            "attn": swapping.get_act_patch_attn_out(theirs, corrupt, clean, metric),
            "mlp": swapping.get_act_patch_mlp_out(theirs, corrupt, clean, metric),
            "heads": swapping.get_act_patch_attn_head_out_all_pos(theirs, corrupt, clean, metric),
        }
    for kind, expected in his.items():
        blocks = range(len(expected))
        if kind == "heads":
            patches = [
                activation_patching.ActivationPatch(f"block{n}.heads", None, h)
                for n in blocks
                for h in range(4)
            ]
        else:
            patches = [
                activation_patching.ActivationPatch(f"block{n}.{kind}", at)
                for n in blocks
                for at in range(17)
            ]
        donor = activation_patching.values(specimen, ids(), patches)
        mine = activation_patching.patched(
            specimen, ids(OTHER), donor, patches, lambda x: x[:, answer] - x[:, rival], 16
        )
        assert close(mine.view(expected.shape), expected)


# ----------------------------------------------------------------- the races


def test_the_races_compare_the_same_results(specimen, theirs):
    mine = logit_lens.ours(specimen, ids(), len(ids()))
    for filtered in (False, True):
        his = logit_lens.theirs(theirs, ids(), filtered)
        assert torch.equal(mine.words, his.words) and close(mine.values, his.values)
    grid = patching_grid.grid(specimen, ids(), ids(OTHER), 0)
    assert close(grid, patching_grid.grid(specimen, ids(), ids(OTHER), 1))
    assert close(grid, patching_grid.theirs(theirs, ids(), ids(OTHER)))
    stuff = context(DATA, 20)
    shown, plain = (sweep(specimen, stuff, 1) for sweep in (word_sweep.ours, word_sweep.loop))
    assert shown and max(abs(rise - plain[word]) for word, rise in shown.items()) < 1e-4
