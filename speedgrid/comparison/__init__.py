"""Compare two results, cell by cell: what is faster, slower or the same in B as it was in A, and what else differs."""
