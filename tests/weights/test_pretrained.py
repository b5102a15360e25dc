"""Weights from files: every element in its position, images prepared as in training, and wrong files refused."""

from __future__ import annotations

import re

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file
from torch_pickles import archived, state_dict, storage, tensor
from torchvision_alexnet import module

from tinyalexnet import LocalResponseNorm
from tinyalexnet.alexnet import VARIANTS, Conv, Drop, Flat, Full, Norm, Pool, Relu, Variant
from tinyalexnet.images import read_image
from tinyalexnet.training import Settings, Training, checkpoint
from tinyalexnet.training.data import Dataset, Images
from tinyalexnet.weights import pretrained
from tinyalexnet.weights.pretrained import from_channels_first, load

LAYERS = (Conv("conv1", 4, 3, 2, groups=1), Pool("pool1", 2), Relu("relu1"), Flat(), Full("fc2", 5), Drop("drop"))
TINY = Variant((8, 12, 3), (*LAYERS, Relu("relu2"), Full("fc3")), num_classes=7)
OTHER = Variant((8, 12, 3), (LAYERS[0], Norm("norm1", LocalResponseNorm), *LAYERS[1:], Full("fc3")), num_classes=7)
GREY = Variant((5, 6, 1), (Conv("conv1", 2, 3), Relu("relu1"), Flat(), Full("fc2")), num_classes=3)
NAMES = {"features.0": "conv1", "classifier.1": "fc2", "classifier.4": "fc3"}


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    """A small network whose weights are read by name, in place of torchvision's."""
    for name, table in (("tiny", TINY), ("other", OTHER), ("grey", GREY)):
        monkeypatch.setitem(VARIANTS, name, table)
    monkeypatch.setattr(pretrained, "NAMES", {"tiny": NAMES})


def tensors(classes=2):
    """Channels first, as PyTorch has them: conv1 gives images of (4, 2, 3)."""
    rng = np.random.default_rng(1)
    shapes = {"features.0": (4, 3, 3, 3), "classifier.1": (5, 24), "classifier.4": (classes, 5)}
    weights = {f"{name}.weight": rng.standard_normal(shape, np.float32) for name, shape in shapes.items()}
    return weights | {f"{name}.bias": rng.standard_normal(shape[0], np.float32) for name, shape in shapes.items()}


def saved(path, **changes):
    """A safetensors file; a change of None takes a tensor out."""
    changed = {**tensors(), **{name.replace("_", "."): value for name, value in changes.items()}}
    save_file({name: value for name, value in changed.items() if value is not None}, path)
    return path


# --- the position of each element -------------------------------------------------------------------------------------


def test_every_number_is_where_it_belongs(tmp_path):
    given = tensors()
    weights = load(saved(tmp_path / "a"))
    assert (weights.variant, weights.num_classes, weights.classes) == ("tiny", 2, None)
    found = weights.network("reference").params
    for f, c, kh, kw in np.ndindex(4, 3, 3, 3):
        assert found["conv1.w"][kh, kw, c, f] == given["features.0.weight"][f, c, kh, kw]
    for unit, c, h, w in np.ndindex(5, 4, 2, 3):
        assert found["fc2.w"][(h * 3 + w) * 4 + c, unit] == given["classifier.1.weight"][unit, (c * 2 + h) * 3 + w]
    np.testing.assert_array_equal(found["fc3.w"], given["classifier.4.weight"].T)
    for file, layer in NAMES.items():
        np.testing.assert_array_equal(found[f"{layer}.b"], given[f"{file}.bias"])
    assert not weights.network("reference").train


def test_groups_keep_their_filters():
    table = Variant((3, 3, 4), (Conv("conv1", 6, 3, groups=2), Flat(), Full("fc")), num_classes=2)
    given = {"conv1.w": np.arange(108.0).reshape(6, 2, 3, 3), "fc.w": np.ones((2, 54))}
    found = from_channels_first({**given, "conv1.b": np.ones(6), "fc.b": np.ones(2)}, table, 2)
    np.testing.assert_array_equal(found["conv1.w"], np.moveaxis(given["conv1.w"], (0, 1), (3, 2)))


def test_the_same_weights_from_torchs_own_format(tmp_path):
    given = tensors()
    members, values = {}, {}
    for key, (name, value) in enumerate(given.items()):
        members[f"data/{key}"] = value.astype("<f4").tobytes()
        strides = [step // 4 for step in value.strides]
        values[name] = tensor(storage(str(key), value.size), size=value.shape, stride=strides)
    found = load(archived(tmp_path / "a.pth", state_dict(**values), members)).params
    for name, value in load(saved(tmp_path / "a")).params.items():
        np.testing.assert_array_equal(found[name], value)


def test_half_and_double_precision_become_single(tmp_path):
    path = saved(tmp_path / "a", features_0_bias=np.ones(4, np.float16), classifier_4_bias=np.ones(2))
    assert {value.dtype for value in load(path).params.values()} == {np.dtype(np.float32)}


PREFIXES = ("module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module.", "model.", "model.net.", "model.module.")


@pytest.mark.parametrize("prefix", PREFIXES)
def test_names_with_a_prefix(tmp_path, prefix):
    """As DataParallel, torch.compile and modules around the network give them; and it is said."""
    path, said = tmp_path / "a\x1bb", []
    save_file({f"{prefix}{name}": value for name, value in tensors().items()}, path)
    found = load(path, say=said.append).params
    (tmp_path / "plain").mkdir()
    for name, value in load(saved(tmp_path / "plain" / "a"), say=pytest.fail).params.items():
        np.testing.assert_array_equal(found[name], value)
    example = f"'{prefix}classifier.1.bias' is read as 'classifier.1.bias'"
    assert said == [f"{tmp_path}/a\\x1bb: {example}, and likewise 5 more names"]


def test_names_of_which_some_have_a_prefix(tmp_path):
    """PyTorch's example of ImageNet makes the convolutions alone data-parallel."""
    path, said = tmp_path / "a", []
    renamed = {name.replace("features.", "features.module."): value for name, value in tensors().items()}
    save_file(renamed, path)
    assert load(path, say=said.append).num_classes == 2
    assert said[0].endswith("'features.module.0.bias' is read as 'features.0.bias', and likewise 1 more names")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"module.features.0.weight": np.ones(1)}, "it should not have 'module.features.0.weight'$"),
        ({"other.x": np.ones(1)}, "it should not have 'other.x'$"),
        ({"teacher.features.0.weight": np.ones(1)}, "it should not have 'teacher.features.0.weight'$"),
    ],
)
def test_prefixes_that_are_not_clear_are_refused(tmp_path, more, message):
    path = tmp_path / "a"
    save_file(tensors() | more, path)
    with pytest.raises(ValueError, match=message):
        load(path)


def test_two_networks_in_one_file_are_refused(tmp_path):
    path = tmp_path / "a"
    both = {f"{side}.{name}": value for side in ("student", "teacher") for name, value in tensors().items()}
    save_file(both, path)
    with pytest.raises(ValueError, match=r"it holds 'student\.classifier\.1\.bias', "):
        load(path)


def test_bfloat16_and_half_in_both_kinds_of_file(tmp_path):
    torch = pytest.importorskip("torch")
    save_tensors = pytest.importorskip("safetensors.torch").save_file
    for dtype in (torch.bfloat16, torch.float16):
        given = {f"module.{name}": torch.tensor(value).to(dtype) for name, value in tensors().items()}
        torch.save({"state_dict": given, "epoch": 3}, tmp_path / "a.pth")
        save_tensors(given, tmp_path / "a.safetensors")
        for path in (tmp_path / "a.pth", tmp_path / "a.safetensors"):
            found = load(path).params
            assert {value.dtype for value in found.values()} == {np.dtype(np.float32)}
            expected = given["module.classifier.4.weight"].float().numpy().T
            np.testing.assert_array_equal(found["fc3.w"], expected)
            assert expected.std() > 0.5


# --- torchvision's images ---------------------------------------------------------------------------------------------


def triangle(inputs, outputs):
    """The matrix (outputs, inputs) of an antialiased bilinear resize: a triangle as wide as two outputs or inputs."""
    scale = inputs / outputs
    width = max(scale, 1.0)
    centres = (np.arange(outputs) + 0.5) * scale
    matrix = np.maximum(1 - np.abs(np.arange(inputs) + 0.5 - centres[:, None]) / width, 0)
    return matrix / matrix.sum(axis=1, keepdims=True)


def resized(pixels, height, width):
    """Channel by channel, in float64, without rounding in between."""
    return np.einsum(
        "yh,hwc,xw->yxc", triangle(len(pixels), height), pixels, triangle(pixels.shape[1], width), optimize=True
    )


@pytest.mark.parametrize(
    ("height", "width", "scaled"),
    [
        (300, 451, (256, 384)),
        (451, 300, (384, 256)),
        (256, 256, (256, 256)),
        (70, 91, (256, 332)),
        (999, 333, (768, 256)),
    ],
)
def test_scaling_is_antialiased_bilinear_as_torchvisions(tmp_path, rng, height, width, scaled):
    """Within a grey level: Pillow rounds after each of the two directions."""
    pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    found = read_image(tmp_path / "a.png", (224, 224), 256)
    top, left = (int(round((size - 224) / 2.0)) for size in scaled)  # noqa: RUF046  as torchvision writes it
    expected = resized(pixels, *scaled)[top : top + 224, left : left + 224]
    assert found.std() > 10
    assert np.abs(found - expected).max() <= 1.0


def test_scaling_is_pytorchs(tmp_path, rng):
    torch = pytest.importorskip("torch")
    pixels = rng.integers(0, 256, (411, 300, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    batch = torch.from_numpy(pixels.astype(np.float32).transpose(2, 0, 1)[None])
    whole = torch.nn.functional.interpolate(batch, (350, 256), mode="bilinear", antialias=True)[0].numpy()
    expected = whole.transpose(1, 2, 0)[63 : 63 + 224, 16 : 16 + 224]
    assert np.abs(read_image(tmp_path / "a.png", (224, 224), 256) - expected).max() <= 1.0


def test_images_are_turned_upright_and_have_three_channels(tmp_path):
    pixels = np.zeros((300, 400), np.uint8)
    pixels[:, :200] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise: the left comes to the top
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    found = read_image(tmp_path / "a.png", (224, 224), 256)
    assert found.shape == (224, 224, 3)
    assert found[:100].min() == 255
    assert found[-100:].max() == 0


def test_an_image_that_would_be_scaled_to_gigabytes_is_refused(tmp_path):
    Image.new("RGB", (1001, 10)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match="it has 10 x 1001 pixels, but at most 100 to 1 is allowed"):
        read_image(tmp_path / "a.png", (224, 224), 256)
    Image.new("RGB", (1000, 10)).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png", (224, 224), 256).shape == (224, 224, 3)


def test_colours_are_in_torchvisions_units(tmp_path):
    weights = load(saved(tmp_path / "a"))
    assert (weights.size, weights.shorter) == ((8, 12), 256)
    seen = []

    class Network:
        def forward(self, images):
            seen.append(images)
            return np.zeros((len(images), 2), np.float32)

    pixels = np.random.default_rng(0).integers(0, 256, (2, 8, 12, 3), dtype=np.uint8)
    np.testing.assert_array_equal(weights.probabilities(Network(), pixels), 0.5)
    expected = (pixels / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    # Numbers up to 255 in float32, 2⁻²⁴ of which are 1.5e-5, less a mean, over 57: twice rounded 5e-7.
    np.testing.assert_allclose(seen[0], expected, rtol=0, atol=1e-6)


# --- checkpoints of this package --------------------------------------------------------------------------------------


def trained(channels, variant, path):
    rng = np.random.default_rng(2)
    pixels = rng.integers(0, 256, (20, 9, 13, channels), dtype=np.uint8)
    images = Images(pixels, rng.integers(0, 3, 20), ("one", "two", "three"))
    training = Training(Settings(variant, batch_size=4, backend="reference"), Dataset("noise", images, images))
    for _ in range(3):
        training.advance()
    training.save(path)
    return training, pixels


@pytest.mark.parametrize(("channels", "variant"), [(3, "tiny"), (1, "grey")])
def test_a_checkpoint_classifies_as_its_training_does(tmp_path, channels, variant):
    """To the last bit, also by way of an image file of the size of the training's."""
    training, pixels = trained(channels, variant, tmp_path / "a")
    weights = load(tmp_path / "a")
    assert (weights.variant, weights.classes) == (variant, ("one", "two", "three"))
    Image.fromarray(pixels[3].squeeze()).save(tmp_path / "3.png")
    image = weights.image(tmp_path / "3.png")
    np.testing.assert_array_equal(image, pixels[3], strict=True)
    found = weights.probabilities(weights.network("reference"), image[None])
    np.testing.assert_array_equal(found, training.probabilities(pixels[3:4]))


def test_a_larger_image_is_scaled_to_the_trainings(tmp_path):
    trained(1, "grey", tmp_path / "a")
    Image.new("RGB", (40, 30), (255, 0, 0)).save(tmp_path / "red.png")
    image = load(tmp_path / "a").image(tmp_path / "red.png")
    np.testing.assert_array_equal(image, np.full((9, 13, 1), 76, np.uint8))  # 0.299 of 255


# --- what is refused --------------------------------------------------------------------------------------------------


def test_channels_come_first_in_the_shapes_of_a_file():
    assert pretrained._channels_first((2, 3, 4, 5)) == (5, 4, 2, 3)
    assert pretrained._channels_first((2, 3)) == (3, 2)
    assert pretrained._channels_first((4,)) == (4,)


HUGE = np.array([1e39, 0])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"features_0_bias": None}, "does not fit 'tiny': it lacks features.0.bias$"),
        ({"classifier_4_bias": None}, r"has classifier.4.weight of shape \(2, 5\) in place of \(7, 5\)$"),
        ({"classifier_6_bias": np.ones(1)}, "it should not have 'classifier.6.bias'$"),
        ({"features_0_weight": np.ones((4, 3, 3, 1))}, r"of shape \(4, 3, 3, 1\) in place of \(4, 3, 3, 3\)$"),
        ({"classifier_1_weight": np.ones((24, 5))}, r"of shape \(24, 5\) in place of \(5, 24\)$"),
        ({"classifier_4_bias": np.ones(3)}, r"has classifier.4.weight of shape \(2, 5\) in place of \(3, 5\)$"),
        ({"classifier_4_bias": np.ones(())}, r"of shape \(\) in place of \(1,\)"),
        ({"features_0_bias": np.ones(4, np.int64)}, "has conv1.b of int64, but must have a floating-point dtype"),
        ({"classifier_4_bias": HUGE}, "has elements of fc3.b that are not finite"),
        ({"classifier_4_bias": HUGE * np.nan}, "has elements of fc3.b that are not finite"),
        ({f"other_{k}": np.ones(1) for k in range(100)}, r"it should not have 'other\.\d+', .*, and 60 more$"),
    ],
)
def test_every_tensor_that_is_wrong_is_named(tmp_path, changes, message):
    path = saved(tmp_path / "a", **changes)
    with pytest.raises(ValueError, match=message) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path} ")
    assert "\n" not in str(caught.value)


def test_weights_of_another_network_are_called_so(tmp_path):
    for names, expected in (
        (
            [f"layer{k}.conv.weight" for k in range(9)],
            "'layer0.conv.weight', 'layer1.conv.weight', 'layer2.conv.weight'",
        ),
        ([], "nothing"),
        (["n" * 81], f"{'n' * 80!r}"),
    ):
        save_file({name: np.ones(1) for name in names}, tmp_path / "a")
        with pytest.raises(ValueError, match="a does not fit 'tiny': it is of another network, because") as caught:
            load(tmp_path / "a")
        assert str(caught.value).endswith(f"holds {expected}, and nothing of such names as 'features.0.weight'")


def test_another_variant_is_refused_unless_forced_and_shapes_are_never_forced(tmp_path):
    path = saved(tmp_path / "a")
    assert load(path, "tiny").variant == "tiny"
    message = r"variant is 'other', but must be 'tiny' for the weights in .*a: in another network they mean something"
    with pytest.raises(ValueError, match=message):
        load(path, "other")
    assert load(path, "other", force=True).variant == "other"
    for variant in ("grey", "cifar"):
        with pytest.raises(ValueError, match=f"does not fit '{variant}': it .*features.0.weight of shape"):
            load(path, variant, force=True)
    for variant in ("vgg", "tf2015"):
        with pytest.raises(
            ValueError, match=f"variant is '{variant}', but must be one of 'owt', 'torchvision', 'caffe'"
        ):
            load(path, variant, force=True)
    trained(3, "tiny", path)
    with pytest.raises(ValueError, match="variant is 'other', but must be 'tiny'"):
        load(path, "other")
    assert load(path, "other", force=True).network("reference")["norm1"]


def test_a_checkpoint_from_before_says_what_it_lacks(tmp_path):
    path = tmp_path / "a"
    training, _ = trained(3, "tiny", path)
    arrays, meta = checkpoint.load(path)
    old = {name: array for name, array in arrays.items() if name != "mean"}
    checkpoint.save(path, old, {key: meta[key] for key in meta if key not in ("scale", "classes")})
    with pytest.raises(
        ValueError, match="a must have the images' mean, scale and classes, but lacks mean, scale, classes:"
    ):
        load(path)
    training.restore(path)
    training.save(path)
    assert load(path).classes == ("one", "two", "three")


@pytest.mark.parametrize(
    ("arrays", "meta", "message"),
    [
        ({}, {"settings": None}, "must be a checkpoint of python -m tinyalexnet train, but is of something else"),
        (
            {},
            {"settings": {"variant": "vgg", "batch_size": 4}},
            "has the variant 'vgg', which this version does not know",
        ),
        ({}, {"classes": "abc"}, "has other classes than a list of names"),
        ({}, {"classes": ["one", "two", 3]}, "has other classes than a list of names"),
        ({}, {"classes": ["one"]}, r"has w:fc3.w of shape \(5, 3\) in place of \(5, 1\)"),
        ({}, {"scale": "1"}, "has a scale that is no number above 0 and up to 1"),
        ({}, {"scale": 1e99}, "has a scale that is no number above 0 and up to 1"),
        ({}, {"scale": 0.0}, "has a scale that is no number above 0 and up to 1"),
        (
            {"mean": np.zeros((9, 13), np.float32)},
            {},
            r"has a mean of shape \(9, 13\), but it must be at least as large",
        ),
        ({"mean": np.zeros((7, 13, 3), np.float32)}, {}, "has a mean of shape"),
        ({"mean": np.zeros((9, 11, 3), np.float32)}, {}, "has a mean of shape"),
        ({"mean": np.zeros((9, 13, 1), np.float32)}, {}, "has a mean of shape"),
        ({"mean": np.full((9, 13, 3), np.inf, np.float32)}, {}, "has elements of mean that are not finite"),
        ({"w:fc9.w": np.ones(1)}, {}, "does not fit 'tiny': it should not have 'w:fc9.w'"),
    ],
)
def test_checkpoints_of_something_else_are_refused(tmp_path, arrays, meta, message):
    path = tmp_path / "a"
    trained(3, "tiny", path)
    good, record = checkpoint.load(path)
    checkpoint.save(path, good | arrays, record | meta)
    with pytest.raises(ValueError, match=message) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path} ")


def test_a_damaged_checkpoint_is_refused(tmp_path):
    path = tmp_path / "a"
    trained(3, "tiny", path)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="the checksum differs"):
        load(path)


# --- torchvision's network, in PyTorch --------------------------------------------------------------------------------


@pytest.mark.compiled
def test_logits_are_pytorchs(tmp_path, monkeypatch):
    """For two photographs, from both kinds of file: the norm of the difference below 1e-4 of that of the logits."""
    torch = pytest.importorskip("torch")
    data = pytest.importorskip("skimage.data")
    save_tensors = pytest.importorskip("safetensors.torch").save_file
    monkeypatch.undo()
    net = module(torch, num_classes=20)
    torch.save(net.state_dict(), tmp_path / "a.pth")
    save_tensors(net.state_dict(), tmp_path / "a.safetensors")
    weights = load(tmp_path / "a.pth")
    for name, value in load(tmp_path / "a.safetensors").params.items():
        np.testing.assert_array_equal(weights.params[name], value)
    for name in ("astronaut", "chelsea"):
        Image.fromarray(getattr(data, name)()).save(tmp_path / f"{name}.png")
    pixels = np.stack([weights.image(tmp_path / f"{name}.png") for name in ("astronaut", "chelsea")])
    batch = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    colours = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])[:, :, None, None]
    with torch.no_grad():
        expected = net((batch - colours[0]) / colours[1]).numpy()
    assert expected.std() > 0.5
    logits = []
    own = weights.network()
    forward = own.forward
    monkeypatch.setattr(own, "forward", lambda images: logits.append(forward(images)) or logits[0])
    weights.probabilities(own, pixels)
    assert np.linalg.norm(logits[0] - expected) < 1e-4 * np.linalg.norm(expected)


def test_the_names_are_those_of_torchvision(monkeypatch):
    """Every layer of the table that has weights, in order; PARAMETERS in test_alexnet.py has the total."""
    monkeypatch.undo()
    ((variant, names),) = pretrained.NAMES.items()
    layers = [row.name for row in VARIANTS[variant].layers if isinstance(row, (Conv, Full))]
    assert list(names.values()) == layers
    assert all(re.fullmatch(r"(features|classifier)\.\d+", name) for name in names)
