"""The groups of operations that learn from queries and steer them, as one."""

from __future__ import annotations

from ragvec.kendra.operations.featured import FeaturedOperations
from ragvec.kendra.operations.feedback import FeedbackOperations
from ragvec.kendra.operations.thesauri import ThesaurusOperations

__all__ = ["LEARNING", "LearningOperations"]


class LearningOperations(FeedbackOperations, FeaturedOperations, ThesaurusOperations):
    """Learn from queries, and steer them."""


LEARNING = {
    "batch_delete_featured_results_set": "BatchDeleteFeaturedResultsSet",
    "create_featured_results_set": "CreateFeaturedResultsSet",
    "create_thesaurus": "CreateThesaurus",
    "delete_thesaurus": "DeleteThesaurus",
    "describe_featured_results_set": "DescribeFeaturedResultsSet",
    "describe_thesaurus": "DescribeThesaurus",
    "list_featured_results_sets": "ListFeaturedResultsSets",
    "list_thesauri": "ListThesauri",
    "submit_feedback": "SubmitFeedback",
    "update_featured_results_set": "UpdateFeaturedResultsSet",
    "update_thesaurus": "UpdateThesaurus",
}
"""Their methods, by Kendra's names."""
