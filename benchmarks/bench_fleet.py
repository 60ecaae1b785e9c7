"""The planner's programme at four sizes: building, handing over, solving, and the textbook form in linopy beside it.

``python benchmarks/bench_fleet.py [small mid big full late founding command]`` prints CPU seconds of one process
and their ratios; late is full with deliveries late by scenario, founding the shipped case bytedance-2025 from its files
to its plan, command ``suanli plan bytedance-2025`` as a user runs it: with an empty cache, then with the rates at hand.
"""

from __future__ import annotations

import compileall
import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.fleet.synthetic import made
from tests.fleet.textbook import textbook

from suanli.fleet._program import hand_over, program, run

SIZES = {"small": (24, 5, 10, 5), "mid": (36, 10, 15, 10), "big": (60, 20, 30, 5), "full": (60, 20, 30, 20)}
SIZES["late"] = SIZES["full"]
TEXTBOOK = {"small", "mid"}
METHOD = {"full": "ipm", "late": "ipm"}


def measure(name: str) -> None:
    """Print one line for a size."""
    args = made(*SIZES[name], slip=name == "late")
    start = time.process_time()
    p = program(*args, parking=False)
    built = time.process_time()
    solver = hand_over(p, method=METHOD.get(name, "choose"))
    if name in METHOD:
        solver.setOptionValue("run_crossover", "off")
    handed = time.process_time()
    answer = run(solver)
    done = time.process_time()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    total = done - start
    told = (
        f"{name:6} {SIZES[name]}: {p.matrix.shape[0]:,} x {p.matrix.shape[1]:,}, {p.matrix.nnz:,} nonzeros; "
        f"build {built - start:.2f} + hand over {handed - built:.2f} + solve {done - handed:.2f} CPU s "
        f"({(done - handed) / total:.0%} in HiGHS), {answer.status}, {memory:.2f} GiB"
    )
    print(told, flush=True)
    _resolve(p, solver, name)
    if name in TEXTBOOK:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            start = time.process_time()
            other = textbook(*args)
        spent = time.process_time() - start
        gap = other / answer.objective - 1.0
        print(f"       textbook in linopy {spent:.2f} CPU s, {spent / total:.0f} times ours; objective {gap:+.1e}")


def _resolve(p: object, solver: object, name: str) -> None:
    """Print the time of a re-solve after every budget is cut by a tenth."""
    if name in METHOD:
        return
    import highspy

    from suanli.fleet._program import Program

    assert isinstance(p, Program)
    assert isinstance(solver, highspy.Highs)
    for family, first, block in p.blocks:
        if family == "money":
            for i, high in enumerate(block.high):
                solver.changeRowBounds(first + i, -highspy.kHighsInf, float(high) * 0.9)
    start = time.process_time()
    run(solver)
    print(f"       re-solved with nine tenths of every budget in {time.process_time() - start:.2f} CPU s")


def founding() -> None:
    """Print the parts of planning the founding case, and its re-solve after every budget is cut by a tenth."""
    import suanli.fleet._plan as planning
    from suanli import fleet

    planning.time.perf_counter = time.process_time  # the parts in CPU seconds: the machine is shared
    start = time.process_time()
    plan = fleet.solve(fleet.load_case("bytedance-2025"))
    total = time.process_time() - start
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    parts = ", ".join(f"{name} {spent:.1f}" for name, spent in plan.seconds.items())
    print(f"founding: {total:.1f} CPU s ({parts}), {memory:.2f} GiB", flush=True)
    solver = hand_over(plan.main.program)
    run(solver)
    _resolve(plan.main.program, solver, "founding")


def command() -> None:
    """Print the CPU seconds of the command that plans the founding case, the first time and after it."""
    source = Path(__file__).parents[1] / "src"
    compileall.compile_dir(source, quiet=2)  # a second run would find the bytecode, the first would write it
    with tempfile.TemporaryDirectory() as folder:
        asked = [sys.executable, "-m", "suanli", "plan", "bytedance-2025", "--out", f"{folder}/plan"]
        own = {"SUANLI_CACHE": f"{folder}/cache", "PYTHONPATH": str(source), "OMP_NUM_THREADS": "1"}
        spent = []
        for _ in range(2):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run(asked, env={**os.environ, **own}, check=True, capture_output=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    print(f"command: {spent[0]:.1f} CPU s the first time, {spent[1]:.1f} with the engines' rates at hand", flush=True)


if __name__ == "__main__":
    for size in sys.argv[1:] or ["small", "mid", "big"]:
        special = {"founding": founding, "command": command}.get(size)
        if special is not None:
            special()
        else:
            measure(size)
