"""The benchmarks behind `stenella bench`: one question each, beside the machine's own limits."""
