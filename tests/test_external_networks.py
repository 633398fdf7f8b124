"""Networks that other people built and trained, on the table."""

from __future__ import annotations

import copy
import re
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from conftest import real
from PIL import Image
from sklearn.datasets import load_sample_images
from test_cli import refused
from torch import nn
from typer.testing import CliRunner

from auditgame import external
from auditgame.cli import app
from auditgame.external.architecture import NORMALISATIONS, find_architecture, parse_normalisation
from auditgame.external.checkpoint import load_weights, read_weights
from auditgame.external.external_network import ExternalNetwork, Normalisation
from auditgame.plugins.conformance.fixtures import Counted
from auditgame.plugins.conformance.tool import cheapest
from auditgame.registry import load, names
from auditgame.schema.errors import AuditgameError
from auditgame.tools import parse_options

NETWORKS = Path(__file__).parent / "networks.py"
PLAIN = Normalisation()


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """108 pieces of the two photographs that scikit-learn ships, 32x32 pixels."""
    folder = tmp_path_factory.mktemp("photos")
    for name, image in zip("ab", load_sample_images().images, strict=True):
        for y, x in np.ndindex(6, 9):
            piece = Image.fromarray(image[64 * y : 64 * y + 64, 64 * x : 64 * x + 64])
            piece.resize((32, 32)).save(folder / f"{name}{y}{x}.png")
    return folder


def mine(function: str) -> str:
    return f"{NETWORKS}:{function}"


def built(model: str) -> nn.Module:
    return find_architecture(model, None, None).network.eval()


def pictures(n: int, side: int = 32) -> torch.Tensor:
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(1))


def opened(model: str, side: int = 32, normalisation: Normalisation = PLAIN) -> ExternalNetwork:
    return ExternalNetwork(built(model), (3, side, side), normalisation)


# --------------------------------------------------------------------- what is tapped

SEVERAL = [mine("careless"), mine("resnet20"), mine("tutorial"), mine("ibau")] + [
    f"torchvision:{name}" for name in ("squeezenet1_1", "shufflenet_v2_x0_5", "mobilenet_v3_small")
]


def by_hooks(network: nn.Module, inputs: torch.Tensor) -> dict[str, list[Any]]:
    """What went into and came out of each module, by hooks, copied at once."""
    seen: dict[str, list[Any]] = {}
    for path, module in network.named_modules():
        if hasattr(module, "inplace"):
            module.inplace = False

        def hook(module, args, output, path=path):
            seen.setdefault(path, []).append((args[0].clone(), output.clone()))

        module.register_forward_hook(hook)
    with torch.no_grad():
        network(inputs)
    return seen


def by_taps(model: ExternalNetwork, inputs: torch.Tensor) -> dict[str, torch.Tensor]:
    kept: dict[str, torch.Tensor] = {}

    def tap(name: str, value: torch.Tensor) -> torch.Tensor:
        kept[name] = value
        return value

    with torch.no_grad():
        model(inputs, tap)
    return kept


@pytest.mark.parametrize("name", SEVERAL)
def test_sites_hold_what_hooks_on_an_untouched_network_see(name: str) -> None:
    side = 64 if name.startswith("torchvision") else 32
    model, inputs = opened(name, side), pictures(2, side)
    kept, seen = by_taps(model, inputs), by_hooks(built(name), inputs)
    assert list(kept) == [site.name for site in model.sites]
    assert len(kept) >= 2
    for site in model.sites:
        assert site.units == kept[site.name].shape[1]
    for taps, (path, number) in zip(model.taps.values(), model.taps, strict=True):
        before, after = seen[path][number]
        assert torch.equal(kept[taps.after], after)
        if taps.before:
            assert torch.equal(kept[taps.before], before)


@pytest.mark.parametrize("name", SEVERAL)
def test_a_network_answers_as_it_did(name: str) -> None:
    side = 64 if name.startswith("torchvision") else 32
    normalisation = NORMALISATIONS["imagenet"]
    mean, spread = (torch.tensor(part)[:, None, None] for part in normalisation)
    inputs = pictures(3, side)
    with torch.no_grad():
        wanted = built(name)((inputs - mean) / spread)
        assert torch.equal(opened(name, side, normalisation)(inputs), wanted)


def test_sites_are_named_by_module_and_by_call() -> None:
    sites = [site.name for site in opened(mine("careless")).sites]
    assert sites == ["relu.pre", "relu", "second", "relu.call2.pre", "relu.call2", "third"]
    blocks = [site.name for site in opened("torchvision:resnet18", 64).sites]
    assert {"relu", "layer1.0.relu", "layer1.0.pre", "layer1.0", "layer4.1"} <= set(blocks)
    assert opened(mine("grey"), normalisation=Normalisation((0.1,), (0.3,))).map_site == "layer1"


def test_what_a_network_overwrites_later_is_kept_and_edited_rightly() -> None:
    model = opened(mine("careless"))
    inputs = pictures(2)
    kept, plain = by_taps(model, inputs), model(inputs)
    summed = kept["second"] + kept["relu"]
    assert torch.equal(kept["relu.call2.pre"], summed) and not torch.equal(kept["second"], summed)
    for site in model.sites:
        edited = model(inputs, lambda n, v, site=site: v + 1 if n == site.name else v)
        assert not torch.equal(edited, plain)
    assert torch.equal(model(inputs), plain)


def test_no_hook_is_left_and_threads_do_not_meet() -> None:
    model = opened(mine("careless"))
    batches = [pictures(n + 1) for n in range(4)]
    alone = [by_taps(model, batch) for batch in batches]
    wrong: list[str] = []

    def look(n: int) -> None:
        for _ in range(20):
            found = by_taps(model, batches[n])
            wrong.extend(k for k, v in found.items() if not torch.equal(v, alone[n][k]))

    threads = [threading.Thread(target=look, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    for module in model.modules():
        assert not module._forward_hooks and not module._forward_pre_hooks
        assert not module._backward_hooks


# ------------------------------------------------------------------------ put back


def look_of(network: torch.nn.Module) -> list[tuple]:
    """What interception may change of a module: its class, what it holds, does it work in place?"""
    return [
        (type(module), sorted(vars(module)), getattr(module, "inplace", None))
        for module in network.modules()
    ]


@pytest.mark.parametrize("name", SEVERAL)
def test_a_network_is_as_it_was_after_every_pass(name: str) -> None:
    side = 64 if name.startswith("torchvision") else 32
    network = built(name)
    before = look_of(network)
    model = ExternalNetwork(network, (3, side, side), Normalisation())
    assert look_of(network) == before
    by_taps(model, pictures(2, side))
    assert look_of(network) == before


def test_a_network_is_as_it_was_after_a_pass_that_fails() -> None:
    model = opened(mine("careless"))
    before = look_of(model.network)

    def tap(name: str, value: torch.Tensor) -> torch.Tensor:
        assert look_of(model.network) != before
        raise KeyError(name)

    with pytest.raises(KeyError), torch.no_grad():
        model(pictures(1), tap)
    assert look_of(model.network) == before


def test_passes_that_overlap_put_a_network_back_at_the_end_of_the_last() -> None:
    model = opened(mine("careless"))
    before, inside, leave = look_of(model.network), threading.Event(), threading.Event()

    def wait(name: str, value: torch.Tensor) -> torch.Tensor:
        inside.set()
        assert leave.wait(30)
        return value

    slow = threading.Thread(target=lambda: model(pictures(1), wait))
    slow.start()
    assert inside.wait(30)
    kept = by_taps(model, pictures(2))
    assert look_of(model.network) != before
    leave.set()
    slow.join()
    assert look_of(model.network) == before
    assert kept.keys() == by_taps(model, pictures(2)).keys()


def test_a_copy_that_is_made_during_a_pass_works_like_the_original() -> None:
    model, copies = opened(mine("careless")), []

    def copying(name: str, value: torch.Tensor) -> torch.Tensor:
        copies.append(copy.deepcopy(model))
        return value

    with torch.no_grad():
        model(pictures(1), copying)
    kept, wanted = by_taps(copies[0], pictures(2)), by_taps(model, pictures(2))
    assert all(torch.equal(kept[name], wanted[name]) for name in wanted)
    assert [look[0] for look in look_of(copies[0])] == [look[0] for look in look_of(model)]


# ------------------------------------------------------------------------ every tool


@pytest.mark.parametrize("tool", names("tool"))
def test_every_image_tool_runs_on_a_foreign_network(tool: str, photos: Path) -> None:
    laid = external.load(mine("careless"), photos, most=16)
    kind, specimen = load("tool", tool), Counted(laid.specimen._model, laid.specimen.dataset)
    mixed = laid.context.examples.relabel(torch.arange(16) % len(specimen.dataset.classes))
    context = replace(laid.context, examples=mixed)  # It says one class to all of them.
    if kind.fits(specimen) is not None:
        assert "image" not in kind.modality or tool == "rollout"  # nobody walks in photographs
        return
    chosen = parse_options(kind, cheapest(kind, specimen))
    if tool == "compare":
        with pytest.raises(AuditgameError, match="no siblings"):
            kind().run(specimen, context, chosen)
        return
    assert kind().run(specimen, context, chosen)
    assert specimen.queries == kind().cost(chosen, specimen, laid.context)


@pytest.mark.parametrize("tool", names("tool"))
def test_without_a_convolution_a_tool_works_or_says_why_not(tool: str, photos: Path) -> None:
    laid = external.load(mine("flat"), photos, most=16)
    kind, specimen = load("tool", tool), laid.specimen
    why = kind.fits(specimen)
    if kind.needs_sites:
        assert why == f"tool '{tool}' looks at convolutions, and this model has none"
    if why:
        with pytest.raises(AuditgameError, match=re.escape(why)):
            external.use(laid, tool)
    elif tool != "compare":
        chosen = parse_options(kind, cheapest(kind, specimen))
        assert kind().run(specimen, laid.context, chosen)


def test_the_shell_says_that_a_tool_does_not_fit(photos: Path) -> None:
    told = shell(mine("flat"), photos, "--most", 6, tool="gradcam")
    refused(told, "tool 'gradcam' looks at convolutions, and this model has none")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["googlenet", "inception_v3", "vgg19", "alexnet", "resnet50"])
def test_the_named_networks_of_torchvision(name: str, photos: Path) -> None:
    laid = external.load(f"torchvision:{name}", photos, side=80, most=4)
    assert len(laid.specimen.dataset.classes) == 1_000
    assert laid.specimen.dataset.classes[1] == "goldfish"
    shown, _ = external.use(laid, "gradcam", examples="0", check=False)
    assert laid.specimen.map_site in shown[0].title
    assert external.use(laid, "predict", examples="0-3")[1] == 4


# --------------------------------------------------- other people's trained networks


def trigger() -> torch.Tensor:
    image = Image.open(real("models", "ibau", "trojan_sq.png")).convert("RGB")
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255


def stranger(photos: Path) -> external.ExternalSession:
    weights = real("models", "ibau", "trojan_sq_2_02_ckpt.pth")
    return external.load(mine("ibau"), photos, str(weights))


def rate(laid: external.ExternalSession) -> float:
    """How often does the strangers' trigger send pictures of other classes to class 2?"""
    inputs = laid.context.examples.inputs
    others = inputs[laid.specimen.predict(inputs) != 2]
    went = laid.specimen.predict((others + trigger()).clamp(0, 1)) == 2
    assert len(went) >= 80
    return float(went.float().mean())


def test_the_strangers_backdoor_is_there_and_their_clean_networks_have_none(photos: Path) -> None:
    assert rate(stranger(photos)) >= 0.98
    captum = str(real("models", "captum", "cifar_torchvision.pt"))
    assert rate(external.load(mine("tutorial"), photos, captum, "half")) <= 0.1
    akamaster = str(real("models", "akamaster", "resnet20-12fca82f.th"))
    assert rate(external.load(mine("resnet20"), photos, akamaster, "imagenet")) <= 0.1


def test_tools_run_on_the_strangers_backdoor(photos: Path) -> None:
    laid = stranger(photos)
    assert laid.specimen.map_site == "features.21"
    found, _ = external.use(laid, "gradcam", examples="0-1")
    assert np.isfinite(found[0].values).all()
    found, _ = external.use(laid, "examples", unit="features.21:3", count=4)
    assert found[0].tiles
    found, _ = external.use(laid, "inversion", classes="2, 4-5", steps=20)
    assert "class 2" in found[0].text


# ----------------------------------------------------------------------------- weights


@pytest.mark.parametrize(
    "name", ["fullmodule_pickle_trojai_pdf.pt", "gymnasium_pickle_trojai_rl.pt"]
)
def test_pickles_that_would_run_code_are_refused(name: str, photos: Path) -> None:
    weights = real("refuse", name)
    refused(shell(mine("ibau"), photos, "--weights", weights), name, "could run code")


def shell(model: str, images: Path, *more: object, tool: str = "predict") -> Any:
    words = ["use", tool, "--model", model, "--images", images, *more]
    return CliRunner().invoke(app, [str(word) for word in words])


class Bomb:
    def __reduce__(self):
        return (Path.touch, (Path("exploded"),))


def test_a_refused_pickle_has_not_run(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": Bomb()}, "bomb.pt")
    with pytest.raises(AuditgameError, match="could run code"):
        read_weights(Path("bomb.pt"))
    assert not Path("exploded").exists()


def test_weights_are_found_in_checkpoints_and_under_prefixes(tmp_path: Path) -> None:
    network = built(mine("careless"))
    state = network.state_dict()
    parallel = {f"module.{name}": value for name, value in state.items()}
    files = {
        "plain.pt": state,
        "nested.pth": {"epoch": 3, "net": state, "optimiser": {"rate": 0.1}},
        "parallel.th": {"state_dict": parallel},
    }
    for name, data in files.items():
        torch.save(data, tmp_path / name)
    safetensors.torch.save_file(dict(state), tmp_path / "safe.safetensors")
    for path in tmp_path.iterdir():
        other = type(network)()
        load_weights(other, read_weights(path), "here")
        assert all(torch.equal(v, state[k]) for k, v in other.state_dict().items())


def test_torchvisions_networks_take_their_classes_from_the_weights(
    tmp_path: Path, photos: Path
) -> None:
    from torchvision import models

    with torch.random.fork_rng():
        torch.manual_seed(7)
        network = models.get_model("squeezenet1_1", weights=None, num_classes=7)
    path = tmp_path / "seven.safetensors"
    safetensors.torch.save_file(network.state_dict(), path)
    laid = external.load("torchvision:squeezenet1_1", photos, str(path), side=64, most=3)
    assert laid.specimen.dataset.classes == tuple(f"class {k}" for k in range(7))
    with torch.no_grad():
        mean, spread = (torch.tensor(p)[:, None, None] for p in NORMALISATIONS["imagenet"])
        wanted = network.eval()((laid.context.examples.inputs - mean) / spread)
    answered = laid.specimen.classify(laid.context.examples.inputs)
    assert wanted.std() > 0.01
    assert torch.allclose(answered, wanted, atol=1e-5)


def test_wrong_weights_name_the_first_tensors_that_do_not_fit(tmp_path: Path) -> None:
    network = built(mine("careless"))
    state = dict(network.state_dict())
    state["first.weight"] = torch.zeros(8, 1, 3, 3)
    state["stranger"] = state.pop("head.bias")
    with pytest.raises(AuditgameError) as error:
        load_weights(network, state, "weights 'x'")
    assert str(error.value) == (
        "weights 'x': do not fit: 'head.bias' is missing; 'first.weight' is 8x1x3x3 where 8x3x3x3 "
        "is needed; 'stranger' is unknown"
    )


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("none.pt", None, "no such file"),
        ("text.pt", b"hello", "could run code|cannot be read"),
        ("cut.safetensors", b"\x08", "is damaged"),
        ("net.onnx", b"", "name a .safetensors"),
        ("two.pt", {"a": {"x": torch.zeros(1)}, "b": {"x": torch.zeros(1)}}, "found a, b"),
        ("list.pt", [1, 2], "found none"),
        ("nan.pt", {"x": torch.tensor([float("nan")])}, "'x' is not finite"),
    ],
)
def test_bad_weights_are_refused(name: str, data: Any, words: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if isinstance(data, bytes):
        path.write_bytes(data)
    elif data is not None:
        torch.save(data, path)
    with pytest.raises(AuditgameError, match=words):
        read_weights(path)


# ---------------------------------------------------------------- names and bad input


def test_normalisation_is_named_or_written() -> None:
    assert parse_normalisation("0.5,0.5,0.5/0.5,0.5,0.5") == NORMALISATIONS["half"]
    assert parse_normalisation("0.1307/0.3081") == Normalisation((0.1307,), (0.3081,))
    for text in ("imagnet", "1,2/3,4", "0,0,0/1,1,0", "0,0,0", "nan/1,1"):
        with pytest.raises(AuditgameError, match="normalise"):
            parse_normalisation(text)


def put(folder: Path, *places: str) -> Path:
    for place in places:
        (folder / place).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 32), "red").save(folder / place / "one.png")
    return folder


@pytest.mark.parametrize(
    ("folders", "classes", "labels"),
    [
        (("ant", "bee", "cat", "dog"), ("ant", "bee", "cat", "dog"), [0, 1, 2, 3]),
        (("1", "3"), ("class 0", "class 1", "class 2", "class 3"), [1, 3]),
        (("class 0", "class 2"), ("class 0", "class 1", "class 2", "class 3"), [0, 2]),
    ],
)
def test_folders_name_the_classes(folders, classes, labels, tmp_path: Path) -> None:
    laid = external.load(mine("flat"), put(tmp_path, *folders))
    assert laid.specimen.dataset.classes == classes
    assert sorted(laid.context.examples.labels.tolist()) == labels


def test_pictures_without_folders_have_the_networks_answers_for_labels(photos: Path) -> None:
    laid = external.load(mine("flat"), photos, most=20)
    examples = laid.context.examples
    assert len(examples) == 20 and any("answers" in note for note in laid.notes)
    assert torch.equal(laid.specimen.predict(examples.inputs), examples.labels)


def bomb(folder: Path) -> Path:
    put(folder, ".")
    Image.new("1", (10_000, 5_001)).save(folder / "bomb.png")
    return folder


def strange(folder: Path) -> Path:
    """Weights of another network."""
    torch.save(built(mine("tutorial")).state_dict(), folder / "strange.pt")
    return folder / "strange.pt"


def differing(folder: Path) -> Path:
    put(folder, ".")
    Image.new("L", (20, 10)).save(folder / "two.png")
    return folder


BAD: dict[str, tuple[Any, tuple[str, ...]]] = {
    "unknown network": (lambda t: ("torchvision:resnet19", put(t, ".")), ("did you mean",)),
    "unknown file": (lambda t: ("no.py:make", put(t, ".")), ("no.py", "no such file")),
    "no function": (lambda t: (mine("mkae"), put(t, ".")), ("AttributeError", "mkae")),
    "neither": (lambda t: ("resnet18", put(t, ".")), ("torchvision:NAME", "FILE.py")),
    "a factory that fails": (lambda t: (mine("fails"), put(t, ".")), ("no such luck",)),
    "a factory of numbers": (lambda t: (mine("nothing"), put(t, ".")), ("gave a int",)),
    "no logits": (lambda t: (mine("maps"), put(t, ".")), ("needs logits",)),
    "one logit": (lambda t: (mine("single"), put(t, ".")), ("(1, 1)", "needs logits")),
    "weights of another network": (
        lambda t: (mine("flat"), put(t, "."), "--weights", strange(t)),
        ("do not fit", "'1.weight' is missing", "; and"),
    ),
    "weights of another, torchvision": (
        lambda t: ("torchvision:squeezenet1_1", put(t, "."), "--weights", strange(t)),
        ("do not fit", "is missing", "; and"),
    ),
    "a bomb": (lambda t: (mine("flat"), bomb(t)), ("bomb.png", "over 50 megapixels")),
    "a bomb, size told": (
        lambda t: (mine("flat"), bomb(t), "--size", 32),
        ("bomb.png", "over 50 megapixels"),
    ),
    "a bomb on the desk": (
        lambda t: (mine("flat"), put(t / "a", "."), "--picture", bomb(t / "b") / "bomb.png"),
        ("over 50 megapixels",),
    ),
    "a size that does not fit": (
        lambda t: (mine("flat"), put(t, "."), "--size", 20),
        ("3x20x20", "does not fit"),
    ),
    "no folder": (lambda t: (mine("flat"), t / "no"), ("no such folder",)),
    "no pictures": (lambda t: (mine("flat"), t), ("holds no pictures",)),
    "one class": (lambda t: (mine("flat"), put(t, "cats")), ("one class only, 'cats'",)),
    "both": (lambda t: (mine("flat"), put(t, ".", "cats")), ("both in it and in 'cats'",)),
    "three of four": (lambda t: (mine("flat"), put(t, "a", "b", "c")), ("3 folders", "0 to 3")),
    "sizes that differ": (
        lambda t: (mine("flat"), differing(t)),
        ("differ in size", "name the size"),
    ),
    "pretrained of one's own": (
        lambda t: (mine("flat"), put(t, "."), "--weights", "pretrained"),
        ("only torchvision's",),
    ),
    "tool that does not fit": (
        lambda t: (mine("flat"), put(t, "."), "--option", "site=x"),
        ("unknown option",),
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line(name: str, tmp_path: Path) -> None:
    make, needles = BAD[name]
    refused(shell(*make(tmp_path)), *needles)


def test_a_challenge_and_a_network_are_not_asked_at_once(photos: Path) -> None:
    for words in (["an-id", "--model", mine("flat")], [], ["--images", str(photos)]):
        refused(CliRunner().invoke(app, ["use", "predict", *words]), "use: ")


def test_weights_that_were_never_fetched_name_the_command(
    photos: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    told = shell("torchvision:alexnet", photos, "--weights", "pretrained")
    refused(told, str(tmp_path), "auditgame fetch torchvision:alexnet")


def test_the_command_line_shows_and_writes(photos: Path, tmp_path: Path) -> None:
    told = shell(mine("ibau"), photos, "--out", tmp_path / "seen", "-o", "examples=0-1")
    assert told.exit_code == 0 and "untrained" in told.stdout
    assert (tmp_path / "seen" / "exhibits.json").is_file()
