"""The networks whose state dicts are known, by the names that packs have for them."""

import re
from typing import cast

from serfiq_core.recognition import compact, iresnet, mobilefacenet
from serfiq_core.recognition.network import Network
from serfiq_core.recognition.weights import StateDict
from serfiq_core.types import MobileFaceNetSite


def network_of(name: str, state: StateDict, site: str | None) -> Network:
    """The network `name`, a format of `pack.toml` other than `onnx`, with the weights of `state`.

    `site`: for `mobilefacenet`, where dropout applies: `map`, also when None, or `values`.

    Raises:
        WeightsError: the weights are of another network.
    """
    if name == "compact":
        return compact.load(state)
    if depth := re.fullmatch(r"iresnet(\d+)", name):
        return iresnet.load(state, int(depth[1]))
    return mobilefacenet.load(state, cast(MobileFaceNetSite, site or "map"))
