"""Images: the place of a row's encoded bytes, and the image that they are.

Models see what open_clip's evaluation makes of it before it normalises: resized and cropped as it is stored, and only
then RGB. A palette and black-and-white images are thus resized without interpolation, colours weigh by their opacity,
and of 16 bits all above 255 is white.
"""

import hashlib
import io
import tarfile
import warnings
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, UnidentifiedImageError

MOST_PIXELS = 100_000_000
"""Larger images are refused: they are hardly photographs, and may be made to fill the memory."""


class ImageError(ValueError):
    """An image that cannot be used; the message says which and why."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """The place of the encoded bytes of an image: a file, a part of a tar shard, or this object itself.

    Attributes:
        path: of the file or of the shard; None where `data` is.
        member: name in the shard, or None of a file that is no tar.
        offset, size: its bytes in the file; where they are None, those of the member, or the whole file.
        data: the bytes themselves.
        sha256: what they must hash to, where it is known.
    """

    path: Path | None = None
    member: str | None = None
    offset: int | None = None
    size: int | None = None
    data: bytes | None = None
    sha256: str | None = None

    def __str__(self) -> str:
        if self.path is None:
            return "an image in the table"
        return str(self.path) if self.member is None else f"{self.path}: {self.member}"


def encoded(source: Source) -> bytes:
    """The encoded bytes of an image.

    Raises:
        ImageError: they are not there, cut short, or not those that were imported.
    """
    try:
        content = _read(source)
    except (OSError, KeyError, ValueError, tarfile.TarError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ImageError(f"{source}: cannot be read: {reason}") from error
    if source.sha256 is not None and hashlib.sha256(content).hexdigest() != source.sha256:
        raise ImageError(f"{source}: it has changed since it was imported; import it again")
    return content


def decoded(content: bytes, name: object) -> Image.Image:
    """An image as it is stored: with its palette, transparency and bits; its orientation is ignored, as by open_clip.

    Raises:
        ImageError: it is no image, cut short, or has more than `MOST_PIXELS`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's on sizes, which are checked here, and on metadata
            image: Image.Image = Image.open(io.BytesIO(content))
            if image.width * image.height > MOST_PIXELS:
                raise ImageError(
                    f"{name}: {image.width} x {image.height} pixels; allowed: {MOST_PIXELS:,}; make it smaller"
                )
            image.load()
            image.info.pop("transparency", None)  # RGB has none, and Pillow warns when it leaves one out
            return image
    except UnidentifiedImageError as error:
        raise ImageError(f"{name}: not an image that can be decoded") from error
    except Image.DecompressionBombError as error:
        raise ImageError(f"{name}: {error}; make it smaller") from error
    except ImageError:
        raise
    except Exception as error:  # decoders of broken files raise anything: OSError, SyntaxError, struct.error ...
        raise ImageError(f"{name}: cannot be decoded: {error or type(error).__name__}") from error


def _read(source: Source) -> bytes:
    if source.data is not None:
        return source.data
    assert source.path is not None
    if source.offset is None or source.size is None:
        if source.member is None:
            return source.path.read_bytes()
        with tarfile.open(source.path) as shard:
            member = shard.extractfile(source.member)
            if member is None:
                raise KeyError(f"{source.member} is no file")
            return member.read()
    with source.path.open("rb") as file:
        file.seek(source.offset)
        content = file.read(source.size)
    if len(content) < source.size:
        raise OSError("the shard is cut short")
    return content
