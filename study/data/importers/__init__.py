"""Importers: each makes rows of a manifest from one kind of source, as a pure function of a path and its options.

`KINDS` is the table of them; `write_manifest` (`intake.py`) looks at the images of the rows and writes the manifest.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from study.data.importers.folder import FolderOptions, from_folder
from study.data.importers.fomo_in_flux import FifOptions, from_fomo_in_flux
from study.data.importers.hugging_face import HuggingFaceOptions, from_hugging_face
from study.data.importers.listing import ListingOptions, from_listing
from study.data.importers.rows import Imported
from study.data.importers.webdataset import WebDatasetOptions, from_webdataset


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of source: what it is, what it is read by, and the type of its options."""

    meaning: str
    read: Callable[[Path, Any], Imported]
    options: type


KINDS = {
    "folder": Kind(meaning="folders of classes", read=from_folder, options=FolderOptions),
    "csv": Kind(meaning="a table that lists images", read=from_listing, options=ListingOptions),
    "webdataset": Kind(meaning="WebDataset tar shards", read=from_webdataset, options=WebDatasetOptions),
    "hf": Kind(meaning="a data set of Hugging Face", read=from_hugging_face, options=HuggingFaceOptions),
    "fif": Kind(meaning="the layout of FoMo-in-Flux", read=from_fomo_in_flux, options=FifOptions),
}
