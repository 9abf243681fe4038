"""What `serfiq packs check` says of five recognisers: a table as in docs/suitability.md.

    python docs/figures/suitability.py DATA PACKS

All of them meet the same photographs, those that `serfiq packs check` would draw from the subjects whom
`serfiq train compact` keeps out; then two of them meet others. DATA holds `lfw/` and `weights/`. In PACKS come the
packs that have to be made first, each with its verdict: what lies there is not measured again.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from common import halves_of_lfw, imported_mobilefacenet, parser
from safetensors.torch import save_file

from serfiq_core.checking import MOST_FACES, aligned_faces, climb, drawn, verdict_on
from serfiq_core.loading import load_pipeline
from serfiq_core.packs.amend import amend_manifest
from serfiq_core.packs.manifest import Manifest, RecogniserEntry, RecogniserFormat, write_manifest
from serfiq_core.packs.pack import Pack, read_pack, sha256_of
from serfiq_core.packs.registry import find_pack, is_embedded
from serfiq_core.recognition.compact import Compact
from serfiq_core.recognition.iresnet import IResNet
from serfiq_core.suitability.criteria import is_backwards
from serfiq_core.types import DegradationKind, MeanRho, Suitability

GREY = (127.5, 127.5, 127.5)

Paths = Sequence[Path]


def untrained(
    network: Callable[[], torch.nn.Module], packs: Path, name: str, kind: RecogniserFormat
) -> Pack:
    """A pack of weights as they were drawn."""
    folder = packs / name
    if not folder.exists():
        folder.mkdir(parents=True)
        torch.manual_seed(0)
        save_file(network().state_dict(), folder / "w.safetensors")
        files = {"w.safetensors": sha256_of(folder / "w.safetensors")}
        entry = RecogniserEntry(kind, "w.safetensors", 112, "rgb", GREY, GREY, 0.4, True)
        write_manifest(Manifest(name, "1", "CC0-1.0", "drawn at random", files, entry), folder)
    return read_pack(folder)


def measured(pack: Pack, photographs: Paths) -> Suitability:
    """The verdict on a pack, as the command gives it."""
    pipeline = load_pipeline(pack, device="cpu", precision="float32", allow_unsuitable=True)
    return verdict_on(pack, pipeline, climb(pipeline, aligned_faces(pipeline, photographs)))


def verdict_of(pack: Pack, photographs: Paths) -> Suitability:
    """Measured anew where the pack is embedded, and once where it is not."""
    if is_embedded(pack):
        return measured(pack, photographs)
    if pack.manifest.standing_verdict is None:
        pack = amend_manifest(pack, verdict=measured(pack, photographs))
    verdict = pack.manifest.standing_verdict
    assert verdict is not None
    return verdict


def print_table(verdicts: dict[str, Suitability]) -> None:
    """A column for each recogniser, a row for each figure."""
    figures = {name: verdict.measured for name, verdict in verdicts.items()}
    print(f"faces: {', '.join(str(each.faces) for each in figures.values())}\n")
    print("| |", " | ".join(verdicts), "|")
    print("|---" * (len(verdicts) + 1) + "|")
    for kind in next(iter(figures.values())).sampled:
        row = [_both(v, kind) for v in verdicts.values()]
        print(f"| {kind} |", " | ".join(row), "|")
    print("| spread |", " | ".join(f"{f.spread:.3g}" for f in figures.values()), "|")
    print(
        "| standard error |", " | ".join(f"{f.standard_error:.3g}" for f in figures.values()), "|"
    )
    ratios = (f"{f.standard_error / f.spread:.2f}" for f in figures.values())
    print("| their ratio |", " | ".join(ratios), "|")
    print("| agreement |", " | ".join(f"{f.agreement:.3f}" for f in figures.values()), "|")
    print("| verdict |", " | ".join(f"`{v.verdict}`" for v in verdicts.values()), "|")
    for name, verdict in verdicts.items():
        print(f"\n{name}: {'; '.join(verdict.reasons) or 'nothing against it'}")
        for kind, rho in verdict.measured.sampled.items():
            print(f"  {kind}, sampled: {rho.mean:+.2f} [{rho.low:+.2f}, {rho.high:+.2f}]")


def _both(verdict: Suitability, kind: DegradationKind) -> str:
    """Sampled / closed form."""
    return " / ".join(
        _rho(each[kind]) for each in (verdict.measured.sampled, verdict.measured.closed_form)
    )


def _rho(rho: MeanRho) -> str:
    text = f"{rho.mean:+.2f}".replace("-", "−")
    return f"**{text}**" if is_backwards(rho) else text


def main() -> None:
    options = parser(__doc__, "data", "packs").parse_args()
    _, tested = halves_of_lfw(options.data)
    photographs = sorted(photograph.path for photograph in tested)
    chosen = drawn(photographs)[:MOST_FACES]
    others = drawn([path for path in photographs if path not in set(chosen)])
    mobilefacenet = imported_mobilefacenet(options.data, options.packs, "mobilefacenet", None)
    compact = find_pack("compact", options.packs)
    recognisers = {
        f"MobileFaceNet, p = {mobilefacenet.manifest.recogniser.dropout_rate:g}": mobilefacenet,
        "the same, p = 0.001": imported_mobilefacenet(
            options.data, options.packs, "mobilefacenet-0001", 0.001
        ),
        "`compact`, p = 0.4": compact,
        "`compact`, random weights": untrained(Compact, options.packs, "random-compact", "compact"),
        "IResNet-18, random weights": untrained(
            lambda: IResNet(18), options.packs, "random-iresnet18", "iresnet18"
        ),
    }
    print_table({name: verdict_of(pack, chosen) for name, pack in recognisers.items()})
    for pack in (mobilefacenet, compact):
        rhos = measured(pack, others).measured.sampled.values()
        print(f"\n{pack.manifest.name}, others, sampled:", ", ".join(_rho(rho) for rho in rhos))


if __name__ == "__main__":
    main()
