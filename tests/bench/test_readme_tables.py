"""Tables of the README from small results with numbers worked by hand."""

from __future__ import annotations

from bench.support.readme_tables import transports_lines, windows_lines

MACHINE = {"cpu": "Epyc", "cores": 2, "gpu": None}


def test_transports_are_compared_with_binary_http() -> None:
    rows = [
        {"tile": "8×8×8", "way": way, "in_flight": slots, "latency_s": latency}
        for way, slots, latency in (
            ("HTTP, JSON", 1, 0.08),
            ("http, inline", 1, 0.004),
            ("http, inline", 2, 0.009),
            ("grpc, system_shm", 1, 0.001),
            ("http, cuda_shm", 1, 0.002),
            ("grpc, cuda_shm", 1, 0.0039),
        )
    ]
    rows.append({"tile": "9×9×9", "way": "http, inline", "in_flight": 1, "latency_s": 2.0})
    assert transports_lines({"rows": rows, "machine": MACHINE})[2:] == [
        "| transport | 8×8×8 | 9×9×9 |",
        "|---|---|---|",
        "| HTTP, JSON | 80.0 ms (20.0× slower) | not measured |",
        "| HTTP, binary | 4.0 ms | 2.00 s |",
        "| gRPC, system shared memory | 1.0 ms (4.0× faster) | not measured |",
        "| HTTP, CUDA shared memory | 2.0 ms (2.0× faster) | not measured |",
        "| gRPC, CUDA shared memory | 3.9 ms | not measured |",
    ]


def test_windows_are_ranges_over_the_settings() -> None:
    rows = [
        {
            "window": 32,
            "gpu_infer, NumPy": {"median_s": a},
            "gpu_infer, PyTorch": {"median_s": b},
            "MONAI": {"median_s": c},
        }
        for a, b, c in ((0.1, 0.2, 0.4), (0.2, 0.3, 1.2))
    ]
    lines = windows_lines({"rows": rows, "side": 96, "machine": MACHINE | {"gpu": "L4"}})
    assert "on 96³ voxels" in lines[0]
    assert lines[0].endswith("Epyc, 2 cores, L4:")
    assert lines[2:] == [
        "| window | NumPy | PyTorch | MONAI | MONAI ÷ NumPy | MONAI ÷ PyTorch |",
        "|---|---|---|---|---|---|",
        "| 32×32×32 | 100.0 ms … 200.0 ms | 200.0 ms … 300.0 ms | 400.0 ms … 1.20 s | 4.0 … 6.0 | 2.0 … 4.0 |",
    ]
    assert windows_lines({"rows": [{"window": 32}], "side": 96, "machine": MACHINE}) == []
