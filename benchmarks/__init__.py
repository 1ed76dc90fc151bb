"""What pytest-cutover costs, measured beside what it is compared with: `python -m benchmarks` (docs/performance.md)."""
