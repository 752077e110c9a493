"""Reads lines of `kind milliseconds`, compares each pair of kinds, and fails if any two can be told apart."""

import itertools
import statistics
import sys

from scipy.stats import mannwhitneyu

times = {}
for line in sys.stdin:
    kind, milliseconds = line.split()
    times.setdefault(kind, []).append(float(milliseconds))

print("| refused as | tries | median, ms | p95, ms |")
print("| --- | --- | --- | --- |")
for kind, taken in times.items():
    print(f"| {kind} | {len(taken)} | {statistics.median(taken):.2f} | {statistics.quantiles(taken, n=20)[-1]:.2f} |")
print()
print("| two of them | Mann-Whitney, p | medians, ratio |")
print("| --- | --- | --- |")
told_apart = 0
for one, other in itertools.combinations(times, 2):
    p = mannwhitneyu(times[one], times[other]).pvalue
    ratio = statistics.median(times[one]) / statistics.median(times[other])
    print(f"| {one}, {other} | {p:.3f} | {ratio:.3f} |")
    told_apart += p <= 0.01 or not 0.95 <= ratio <= 1.05
sys.exit(1 if told_apart else 0)
