"""Downloads the files of a data set from its authors or its present keepers, and checks their MD5 sums."""

import shutil
import tarfile
from pathlib import Path
from urllib.parse import urljoin

from ..files import replacing

IDX_FILES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)

ADDRESSES = {
    "fashion-mnist": "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    "mnist": "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "cifar10": "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
}
"""The address of a folder of files, which ends in a slash, or of an archive."""

# The MD5 sums that the pages of Fashion-MNIST and CIFAR-10 state, and for MNIST those that torchvision checks.
MD5 = {
    "fashion-mnist": dict(
        zip(
            IDX_FILES,
            (
                "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
                "25c81989df183df01b3e8a0aad5dffbe",
                "bef4ecab320f06d8554ea6380940ec79",
                "bb300cfdad3c16e7a12a480ee83cd310",
            ),
            strict=True,
        )
    ),
    "mnist": dict(
        zip(
            IDX_FILES,
            (
                "f68b3c2dcbeaaa9fbdd348bbdeb94873",
                "d53e105ee54ea40749a09fcbcd1e9432",
                "9fb629c4189551a2d022fa330f9573f3",
                "ec29112dd5afa0611ce80d1b7f02629c",
            ),
            strict=True,
        )
    ),
    "cifar10": {"cifar-10-binary.tar.gz": "c32a1d4ab5d03f1284b67883e8d87530"},
}


def check() -> None:
    """ImportError if pooch is not installed."""
    try:
        import pooch  # noqa: F401
    except ImportError:
        raise ImportError("downloads need pooch: pip install 'tinyalexnet[data]'") from None


def fetch(name: str, folder: Path, progress: bool = False) -> None:
    """Puts the files of the data set ``name``, one of ``ADDRESSES``, into ``folder``, which is made if it is missing.

    A file that is already there with the right checksum is kept. An archive is unpacked, and then deleted.

    Errors
        ImportError without pooch; OSError if a file cannot be fetched or written; ValueError if its checksum is wrong:
        the file is then not kept.
    """
    check()
    import pooch

    pooch.get_logger().setLevel("ERROR")
    for file, md5 in MD5[name].items():
        address = urljoin(ADDRESSES[name], file)
        try:
            pooch.retrieve(address, f"md5:{md5}", file, folder, progressbar=progress)
        except ValueError:
            raise ValueError(f"{address} is not the file that it was: its MD5 sum must be {md5}") from None
        except OSError as error:
            # pooch does not close an answer such as "not found"; such an answer is falsy, hence the comparison.
            if (answer := getattr(error, "response", None)) is not None:
                answer.close()
            raise OSError(
                f"{address} cannot be fetched ({_first_words(error)}): put it into {str(folder)!r} from elsewhere"
            ) from None
        if file.endswith(".tar.gz"):
            _unpack(folder / file)


def _first_words(error: OSError) -> str:
    """The system's message, or the type: the text of an error of requests is its whole chain of causes."""
    return type(error).__name__ if error.strerror is None else error.strerror


def _unpack(archive: Path) -> None:
    """Writes an archive's .bin and .txt files beside it, without the archive's folders; then deletes the archive."""
    # Not shutil.unpack_archive or pooch.Untar: both keep the folders, and if interrupted they leave half a file.
    with tarfile.open(archive) as tar:
        for member in tar:
            name = Path(member.name).name
            source = tar.extractfile(member) if member.isfile() else None
            if source is not None and name.endswith((".bin", ".txt")):
                with replacing(archive.with_name(name)) as temporary, temporary.open("wb") as target:
                    shutil.copyfileobj(source, target)
    archive.unlink()
