"""The groups of operations that learn from queries and steer them, as one."""

from __future__ import annotations

from ragvec.kendra.operations.block_lists import BlockListOperations
from ragvec.kendra.operations.featured import FeaturedOperations
from ragvec.kendra.operations.feedback import FeedbackOperations
from ragvec.kendra.operations.snapshots import SnapshotOperations
from ragvec.kendra.operations.suggestions import SuggestionOperations
from ragvec.kendra.operations.thesauri import ThesaurusOperations

__all__ = ["LEARNING", "LearningOperations"]


class LearningOperations(
    FeedbackOperations,
    SuggestionOperations,
    BlockListOperations,
    FeaturedOperations,
    ThesaurusOperations,
    SnapshotOperations,
):
    """Learn from queries, and steer them."""


LEARNING = {
    "batch_delete_featured_results_set": "BatchDeleteFeaturedResultsSet",
    "clear_query_suggestions": "ClearQuerySuggestions",
    "create_featured_results_set": "CreateFeaturedResultsSet",
    "create_query_suggestions_block_list": "CreateQuerySuggestionsBlockList",
    "create_thesaurus": "CreateThesaurus",
    "delete_query_suggestions_block_list": "DeleteQuerySuggestionsBlockList",
    "delete_thesaurus": "DeleteThesaurus",
    "describe_featured_results_set": "DescribeFeaturedResultsSet",
    "describe_query_suggestions_block_list": "DescribeQuerySuggestionsBlockList",
    "describe_query_suggestions_config": "DescribeQuerySuggestionsConfig",
    "describe_thesaurus": "DescribeThesaurus",
    "get_query_suggestions": "GetQuerySuggestions",
    "get_snapshots": "GetSnapshots",
    "list_featured_results_sets": "ListFeaturedResultsSets",
    "list_query_suggestions_block_lists": "ListQuerySuggestionsBlockLists",
    "list_thesauri": "ListThesauri",
    "submit_feedback": "SubmitFeedback",
    "update_featured_results_set": "UpdateFeaturedResultsSet",
    "update_query_suggestions_block_list": "UpdateQuerySuggestionsBlockList",
    "update_query_suggestions_config": "UpdateQuerySuggestionsConfig",
    "update_thesaurus": "UpdateThesaurus",
}
"""Their methods, by Kendra's names."""
