"""What HTTP takes away: the service's throughput over that of its engine without HTTP."""

from benchmarks.full_load import CALLERS, WARM_UP_SECONDS, Scale, full_load
from benchmarks.in_process import InProcessPlan, run_in_process
from benchmarks.measure import Figure, measured, ratio
from benchmarks.service_process import fetch, serfiq_service

FIGURES = ("http_over_inprocess", "http_per_second", "inprocess_per_second")

AT_LEAST = 0.85


def measure(scale: Scale) -> list[Figure]:
    """Both in turn, each round in new processes: where one lands in memory is chance too."""
    plan = InProcessPlan(str(scale.photographs), CALLERS, scale.round_seconds, WARM_UP_SECONDS)
    http, in_process = [], []
    device = ""
    for _ in range(scale.rounds):
        with serfiq_service() as server:
            device = fetch(server, "/model")["device"]
            http.append(full_load(server, scale).throughput)
        in_process.append(run_in_process(plan).throughput)
    return [
        ratio("http_over_inprocess", device, http, in_process, at_least=AT_LEAST),
        measured("http_per_second", device, http),
        measured("inprocess_per_second", device, in_process),
    ]
