"""The groups of operations that learn from queries and steer them, as one."""

from __future__ import annotations

from ragvec.kendra.operations.featured import FeaturedOperations

__all__ = ["LEARNING", "LearningOperations"]


class LearningOperations(FeaturedOperations):
    """Learn from queries, and steer them."""


LEARNING = {
    "batch_delete_featured_results_set": "BatchDeleteFeaturedResultsSet",
    "create_featured_results_set": "CreateFeaturedResultsSet",
    "describe_featured_results_set": "DescribeFeaturedResultsSet",
    "list_featured_results_sets": "ListFeaturedResultsSets",
    "update_featured_results_set": "UpdateFeaturedResultsSet",
}
"""Their methods, by Kendra's names."""
