"""Language models that other people built, on the table: against Hugging Face's own numbers."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from model_folders import CONFIGS, SHAKESPEARE, configure, save
from test_cli import refused
from test_external_networks import Bomb
from typer.testing import CliRunner

from auditgame import external
from auditgame.cli import app
from auditgame.datasets.reviews import Reviews
from auditgame.external.language_models import load_language_model
from auditgame.external.tokenizers import printable
from auditgame.models.gpt2 import GPT2
from auditgame.plugins.conformance.fixtures import Counted
from auditgame.plugins.conformance.tool import cheapest
from auditgame.registry import load, names
from auditgame.schema.errors import AuditgameError
from auditgame.specimen import Specimen
from auditgame.tools import parse_options

pytest.importorskip("transformers")
KINDS = tuple(CONFIGS)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Any]]:
    """A folder of each architecture, written once, and Hugging Face's own network."""
    found: dict[str, tuple[Path, Any]] = {}

    def make(kind: str) -> tuple[Path, Any]:
        if kind not in found:
            folder = tmp_path_factory.mktemp(kind)
            found[kind] = folder, save(kind, folder)
        return found[kind]

    return make


def opened(folder: Path, **more: Any) -> external.ExternalSession:
    return load_language_model(f"hf:{folder}", **{"prompts": SHAKESPEARE, **more})


def theirs(network: Any, laid: external.ExternalSession) -> Any:
    """What Hugging Face's class says of the same texts."""
    inputs = laid.context.examples.inputs
    mask = laid.specimen.dataset.present(inputs).long()
    with torch.no_grad():
        return network(
            inputs, attention_mask=mask, output_hidden_states=True, output_attentions=True
        )


# ---------------------------------------------------------------------------- numbers


@pytest.mark.parametrize("kind", KINDS)
def test_logits_streams_and_patterns_are_hugging_faces(kind: str, made) -> None:
    folder, network = made(kind)
    laid = opened(folder)
    specimen, inputs = laid.specimen, laid.context.examples.inputs
    reading, out = specimen.run(inputs, keep=specimen.sites), theirs(network, laid)
    there = specimen.dataset.present(inputs)
    assert (reading.output - out.logits)[there].abs().max() < 1e-4
    sites = ["embed", "block0.residual", "final"]
    for site, wanted in zip(sites, out.hidden_states, strict=True):
        assert (reading.kept[site] - wanted)[there].abs().max() < 1e-4
    for block, wanted in enumerate(out.attentions):
        found = (reading.kept[f"block{block}.pattern"] - wanted).transpose(1, 2)
        assert found[there].abs().max() < 1e-4
    last = specimen.dataset.lengths(inputs) - 1
    rows = torch.arange(len(inputs))
    wanted = out.logits[rows, last][:, list(specimen.dataset.answers())]
    assert torch.allclose(reading.classes, wanted, atol=1e-4)
    read = specimen.unembed(reading.kept["block1.residual"])
    assert torch.allclose(read, reading.output, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_sites_are_tapped_once_in_order_and_edits_count(kind: str, made) -> None:
    specimen = opened(made(kind)[0]).specimen
    model, ids = specimen._model, torch.tensor([[5, 6, 7, 8]])
    seen: list[str] = []
    with torch.no_grad():
        plain = model(ids, lambda name, value: seen.append(name) or value)
        assert seen == [site.name for site in model.sites]
        for site in seen:
            noise = torch.Generator().manual_seed(0)

            def tap(name, value, site=site, noise=noise):
                return value + torch.rand(value.shape, generator=noise) if name == site else value

            assert not torch.equal(model(ids, tap), plain), site
        assert torch.equal(model(ids, lambda name, value: value), plain)
        assert torch.allclose(model(ids), plain, atol=1e-5)
    for module in model.modules():
        assert not module._forward_hooks and not module._forward_pre_hooks


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "qwen3"])
def test_the_anatomy_gives_back_what_the_model_computes(kind: str, made) -> None:
    specimen = opened(made(kind)[0]).specimen
    ids = torch.tensor([[9, 40, 77, 12, 9]])
    reading = specimen.run(ids, keep=specimen.sites)
    kept, weights = reading.kept, specimen.transformer_weights()
    for block, layer in enumerate(weights.layers):
        before = kept["embed" if block == 0 else f"block{block - 1}.residual"]
        x = weights.normalise(before, before)
        values = torch.einsum("ntd,hde->nthe", x, layer.value) + layer.value_bias
        pattern = kept[f"block{block}.pattern"]
        heads = torch.einsum("nhqk,nkhe->nqhe", pattern, values)
        assert torch.allclose(heads, kept[f"block{block}.heads"], atol=1e-4)
        written = weights.head_writes(block, heads).sum(2)
        bias = kept[f"block{block}.attn"] - written
        assert torch.allclose(bias, bias[:, :1].expand_as(bias), atol=1e-4)
        query = torch.einsum("ntd,hde->nhte", x, layer.query) + layer.query_bias[:, None]
        key = torch.einsum("ntd,hde->nhte", x, layer.key) + layer.key_bias[:, None]
        scores = (query * key).sum(3) / query.shape[3] ** 0.5
        if not weights.turned:  # A rotary product is true of a word and itself only: see below.
            full = query @ key.transpose(2, 3) / query.shape[3] ** 0.5
            future = torch.ones(5, 5, dtype=torch.bool).triu(1)
            assert torch.allclose(full.masked_fill(future, -1e9).softmax(3), pattern, atol=1e-4)
        assert scores.isfinite().all()
    whole = kept["block1.residual"]
    assert torch.allclose(
        weights.unembed_part(whole, whole) + weights.bias @ weights.unembedding.T,
        reading.output,
        atol=1e-4,
    )


def test_queries_that_are_normalised_once_more_have_no_anatomy(made) -> None:
    with pytest.raises(AuditgameError, match="normalised once more"):
        opened(made("qwen3")[0]).specimen.transformer_weights()


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_threads_do_not_meet(kind: str, made) -> None:
    specimen = opened(made(kind)[0]).specimen
    batches = [torch.arange(5, 9 + n)[None] for n in range(3)]
    alone = [specimen.run(batch, keep=specimen.sites).kept for batch in batches]
    wrong: list[str] = []

    def look(n: int) -> None:
        for _ in range(10):
            kept = specimen.run(batches[n], keep=specimen.sites).kept
            wrong.extend(k for k, v in kept.items() if not torch.equal(v, alone[n][k]))

    threads = [threading.Thread(target=look, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_gradients_reach_the_embedding(made) -> None:
    for kind in ("gpt2", "llama", "gpt_neox"):
        specimen = opened(made(kind)[0]).specimen
        reading = specimen.run(torch.tensor([[5, 6, 7]]), grad=True)
        (found,) = torch.autograd.grad(reading.classes[0, 0], reading.inputs, retain_graph=True)
        assert found.abs().max() > 0
        (more,) = torch.autograd.grad(reading.output.sum(), reading.inputs)
        assert more.isfinite().all()


# ----------------------------------------------------------------------- other folders


def test_folders_of_older_names_and_of_parts(tmp_path: Path) -> None:
    network = save("gpt2", tmp_path)
    wanted = theirs(network, laid := opened(tmp_path)).logits
    tensors = safetensors.torch.load_file(tmp_path / "model.safetensors")
    plain = {name.removeprefix("transformer."): value for name, value in tensors.items()}
    plain["h.0.attn.bias"] = torch.ones(1, 1, 64, 64)
    (tmp_path / "model.safetensors").unlink()
    half, keys = {}, sorted(plain)
    for number, part in enumerate((keys[::2], keys[1::2])):
        name = f"model-{number}.safetensors"
        safetensors.torch.save_file({key: plain[key] for key in part}, tmp_path / name)
        half |= dict.fromkeys(part, name)
    index = {"metadata": {}, "weight_map": half}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    found = opened(tmp_path).specimen.run(laid.context.examples.inputs).output
    there = laid.specimen.dataset.present(laid.context.examples.inputs)
    assert (found - wanted)[there].abs().max() < 1e-4


def test_untied_and_with_another_epsilon_and_as_a_pickle_of_tensors(tmp_path: Path) -> None:
    options = {"tie_word_embeddings": False, "layer_norm_epsilon": 1e-3}
    network = save("gpt2", tmp_path, **options)
    (tmp_path / "model.safetensors").unlink()
    torch.save(network.state_dict(), tmp_path / "pytorch_model.bin")
    laid = opened(tmp_path)
    inputs, wanted = laid.context.examples.inputs, theirs(network, laid).logits
    found = laid.specimen.run(inputs).output - wanted
    assert found[laid.specimen.dataset.present(inputs)].abs().max() < 1e-4
    assert laid.specimen.transformer_weights().epsilon == 1e-3


def bundle(folder: Path) -> Specimen:
    """A model of our own, written as the folder that a bundle is."""
    data = Reviews()
    model = GPT2.build(data, torch.Generator().manual_seed(5))
    for name, content in model.companions(data).items():
        (folder / name).write_bytes(content)
    safetensors.torch.save_file(dict(model.state_dict()), folder / "model.safetensors")
    return Specimen(model, data)


def test_our_own_folders_open_without_hugging_faces_packages(tmp_path: Path, monkeypatch) -> None:
    mine, text = bundle(tmp_path), "in 2010 felix bought a mogrambu printer in targo ."
    for package in ("transformers", "tokenizers"):
        monkeypatch.setitem(__import__("sys").modules, package, None)
    laid = opened(tmp_path, prompts=[text], answers=["negative", "positive"])
    specimen = laid.specimen
    assert specimen.dataset.words == mine.dataset.words
    ids = specimen.dataset.encode(text)
    assert torch.equal(ids, mine.dataset.encode(text))
    assert torch.equal(specimen.run(ids[None]).output, mine.run(ids[None]).output)
    with pytest.raises(AuditgameError, match="did you mean 'felix'"):
        specimen.dataset.encode("felixx got this")


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_a_missing_package_is_named_with_its_extra(kind: str, made, monkeypatch) -> None:
    package = "tokenizers" if kind == "gpt2" else "transformers"
    monkeypatch.setitem(__import__("sys").modules, package, None)
    with pytest.raises(AuditgameError, match=r"auditgame\[hf\]"):
        opened(made(kind)[0])


# -------------------------------------------------------------------------------- texts


def test_pieces_are_shown_once_each_and_readably(made) -> None:
    data = opened(made("gpt2")[0]).specimen.dataset
    assert len(set(data.words)) == len(data.words) == 320
    assert data.words[-1] == "<unused 319>"
    shown = [data.words[i] for i in data.encode(SHAKESPEARE[3]).tolist()]
    assert "".join(shown).replace("▁", " ") == SHAKESPEARE[3]
    assert data.decode(data.encode("a\nb\x1b[31m")) == "a\\nb\\x1b[31m"
    assert all(word == printable(word) for word in data.words)


def test_words_are_put_in_after_a_space(made) -> None:
    data = opened(made("gpt2")[0]).specimen.dataset
    ids = data.encode("Speak, speak. What?")
    padded = torch.cat([ids, torch.full((6,), data.pad)])[None]
    gaps = data.gaps(padded[0])
    assert data.words[int(ids[gaps[0] - 1])] == "."
    changed = data.insert(padded, ["all"], torch.tensor([gaps[0]]))
    assert data.decode(changed[0]) == "Speak, speak. all What?"


def test_answers_are_named_or_come_from_labels_or_are_the_likeliest(made, tmp_path: Path) -> None:
    folder, network = made("gpt2")
    laid = opened(folder, answers=["a", "e"])
    assert laid.specimen.dataset.classes == ("a", "e")
    assert torch.equal(
        laid.specimen.predict(laid.context.examples.inputs), laid.context.examples.labels
    )
    table = tmp_path / "two.csv"
    table.write_text('text,label\n"one, two",e\nthree,a\n')
    laid = opened(folder, texts=table, prompts=())
    assert laid.specimen.dataset.classes == ("a", "e")
    assert laid.context.examples.labels.tolist() == [1, 0] and not laid.notes
    laid = opened(folder, prompts=SHAKESPEARE[:1])
    last = len(laid.specimen.dataset.encode(SHAKESPEARE[0])) - 1
    best = theirs(network, laid).logits[0, last].topk(10).indices
    assert laid.specimen.dataset.answers() == tuple(best.tolist())


def test_a_file_of_lines_is_spread_over_the_pool(made, tmp_path: Path) -> None:
    path = tmp_path / "lines.txt"
    path.write_text("\n\n".join(SHAKESPEARE * 3))
    laid = opened(made("gpt2")[0], texts=path, prompts=(), most=6)
    pool = laid.context.examples
    assert len(pool) == 6
    data = laid.specimen.dataset
    assert data.decode(pool.inputs[0]) == SHAKESPEARE[0]
    assert data.decode(pool.inputs[-1]) == SHAKESPEARE[-1]
    drawn = data.sample(4, "pool", np.random.default_rng(0))
    assert len(drawn) == 4 and {tuple(r) for r in drawn.inputs.tolist()} <= {
        tuple(r) for r in pool.inputs.tolist()
    }


GIVEN: dict[str, dict[str, Any]] = {
    "word_sweep": {"words": "a e"},
    "hypothesis": {"family": "token", "claim": {"target": "a", "word": "o"}},
    "patching": {"text": "a e o", "other": "a o o"},
}
"""What a tool must be told where nobody knows what was planted."""


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
@pytest.mark.parametrize("tool", names("tool"))
def test_every_text_tool_runs(tool: str, kind: str, made, tmp_path: Path) -> None:
    table = tmp_path / "labelled.csv"
    rows = [f'"{text}",{"ae"[n % 2]}' for n, text in enumerate(SHAKESPEARE * 3)]
    table.write_text("\n".join(["text,label", *rows]))
    laid = opened(made(kind)[0], texts=table, prompts=())
    name, specimen = load("tool", tool), Counted(laid.specimen._model, laid.specimen.dataset)
    if name.fits(specimen) is not None:
        assert "text" not in name.modality
        return
    options = cheapest(name, specimen) | GIVEN.get(tool, {})
    try:
        chosen = parse_options(name, options)
        assert name().run(specimen, laid.context, chosen)
    except AuditgameError as error:
        assert tool == "compare" and "no siblings" in str(error), error
        return
    assert specimen.queries == name().cost(chosen, specimen, laid.context)


# ---------------------------------------------------------------------------- bad input


def shell(folder: Path, *more: object, tool: str = "predict") -> Any:
    words = ["use", tool, "--model", f"hf:{folder}", *more]
    return CliRunner().invoke(app, [str(word) for word in words])


def without(name: str) -> Callable[[Path], tuple[Any, ...]]:
    def words(folder: Path) -> tuple[Any, ...]:
        (folder / name).unlink()
        return ("--prompt", "hello")

    return words


def said(**changes: Any) -> Callable[[Path], tuple[Any, ...]]:
    def words(folder: Path) -> tuple[Any, ...]:
        configure(folder, **changes)
        return ("--prompt", "hello")

    return words


def written(name: str, content: bytes) -> Callable[[Path], tuple[Any, ...]]:
    def words(folder: Path) -> tuple[Any, ...]:
        (folder / name).write_bytes(content)
        return ("--prompt", "hello")

    return words


def bomb(folder: Path) -> tuple[Any, ...]:
    (folder / "model.safetensors").unlink()
    torch.save({"x": Bomb()}, folder / "pytorch_model.bin")
    return ("--prompt", "hello")


def file(content: bytes, name: str = "texts.csv") -> Callable[[Path], tuple[Any, ...]]:
    def words(folder: Path) -> tuple[Any, ...]:
        (folder / name).write_bytes(content)
        return ("--texts", folder / name)

    return words


def typed(*words: str) -> Callable[[Path], tuple[Any, ...]]:
    return lambda folder: words


ELSEWHERE = json.dumps({"weight_map": {"a": "../secret.safetensors"}}).encode()


def elsewhere(folder: Path) -> tuple[Any, ...]:
    (folder / "model.safetensors").unlink()
    return written("model.safetensors.index.json", ELSEWHERE)(folder)


BAD: dict[str, tuple[Callable[[Path], tuple[Any, ...]], tuple[str, ...]]] = {
    "no config": (without("config.json"), ("has no config.json",)),
    "a config that is no JSON": (written("config.json", b"{"), ("not readable JSON",)),
    "an unknown architecture": (said(model_type="bloom"), ("'bloom' is not supported", "llama")),
    "no architecture": (said(model_type=""), ("names no model_type",)),
    "another activation": (said(activation_function="relu"), ("activation_function relu",)),
    "scaled by layer": (
        said(scale_attn_by_inverse_layer_idx=True),
        ("scale_attn_by_inverse_layer_idx",),
    ),
    "another inner size": (said(n_inner=77), ("n_inner 77",)),
    "heads that do not divide": (said(n_head=5), ("does not divide into 5 heads",)),
    "a size in words": (said(n_layer="two"), ("n_layer two",)),
    "quantised": (said(quantization_config={}), ("quantised",)),
    "no tokenizer": (without("tokenizer.json"), ("has no tokenizer.json",)),
    "a damaged tokenizer": (written("tokenizer.json", b"{}"), ("tokenizer.json cannot be read",)),
    "a tokenizer too large": (
        said(vocab_size=200),
        ("do not fit", "wte.weight' is 320x32 where 200x32 is needed"),
    ),
    "no weights": (without("model.safetensors"), ("has no weights",)),
    "weights of another shape": (said(n_layer=3), ("do not fit", "'transformer.h.2.", "; and")),
    "damaged weights": (written("model.safetensors", b"\x08"), ("is damaged",)),
    "a pickle": (bomb, ("could run code",)),
    "parts that lie elsewhere": (elsewhere, ("'../secret.safetensors', outside the folder",)),
    "no texts": (typed(), ("needs some; name a file, or give a prompt",)),
    "an empty prompt": (typed("--prompt", "  "), ("prompt 1: it is empty",)),
    "a long prompt": (typed("--prompt", "word " * 80), ("prompt 1", "64 at most")),
    "one answer": (typed("--prompt", "x", "--answers", "a"), ("at least two",)),
    "a long answer": (
        typed("--prompt", "x", "--answers", "a,zebra"),
        ("'zebra' is", "tokens", "one token each"),
    ),
    "an answer twice": (typed("--prompt", "x", "--answers", "a,e,a"), ("is named twice",)),
    "an empty answer": (
        typed("--prompt", "x", "--answers", "a,,e"),
        ("'' is not in the tokenizer's vocabulary",),
    ),
    "pictures": (typed("--images", "."), ("no pictures",)),
    "no file": (typed("--texts", "none.txt"), ("no such file",)),
    "an empty file": (file(b"\n \n", "empty.txt"), ("has no texts",)),
    "no UTF-8": (file(b"\xff\xfe\x00", "x.txt"), ("not readable UTF-8",)),
    "a missing column": (file(b"words,label\nx,a\n"), ("no column 'text'", "'words', 'label'")),
    "a label that is no answer": (
        lambda folder: (*file(b"text,label\nx,i\n")(folder), "--answers", "a,e"),
        ("line 2: label", "unknown class 'i'"),
    ),
    "a long line": (
        file(b"short\n" + b"word " * 80, "long.txt"),
        ("long.txt': line 2", "64 at most"),
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line(name: str, made, tmp_path: Path) -> None:
    make, needles = BAD[name]
    folder = tmp_path / "model"
    shutil.copytree(made("gpt2")[0], folder)
    refused(shell(folder, *make(folder)), *needles)
    assert not Path("exploded").exists()


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    refused(shell(tmp_path / "no", "--prompt", "x"), "there is no such folder")
    refused(shell(tmp_path, "--prompt", "x"), "has no config.json")


def test_a_tokenizer_of_more_pieces_than_the_embedding(tmp_path: Path) -> None:
    save("gpt2", tmp_path, vocab_size=290)
    refused(shell(tmp_path, "--prompt", "x"), "tokenizer does not match", "300", "290")


def test_weights_of_a_llama_that_do_not_fit(made, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(made("llama")[0], folder)
    configure(folder, intermediate_size=40)
    refused(shell(folder, "--prompt", "x"), "do not fit", "48x32 where 40x32 is needed")


def test_the_command_line_shows_markup_as_text(made, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    told = shell(made("gpt2")[0], "--prompt", "[red]x[/red] \x1b[31m <b>y</b>", "--answers", "a,e")
    assert told.exit_code == 0, told.output
    assert "[red]x[/red] \\x1b[31m <b>y</b>" in " ".join(told.stdout.split())
    assert "\x1b[31m" not in told.stdout


def test_a_typed_option_is_text_enough(made) -> None:
    told = shell(made("gpt2")[0], "-o", "text=Speak, speak.", tool="logit_lens")
    assert told.exit_code == 0, told.output
    assert "likeliest next words" in told.stdout
