"""Scripts that print ratios of alternatives, interleaved in one run."""
