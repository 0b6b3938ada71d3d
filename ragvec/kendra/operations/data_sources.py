"""Data sources, experiences and their users: there are none, and what would make them is refused by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ragvec.errors import InvalidRequest
from ragvec.kendra.learn.members import page
from ragvec.kendra.operations.base import Operations, known

__all__ = ["DATA_SOURCES", "REFUSED", "DataSourceOperations"]

REFUSED = {
    "associate_entities_to_experience": "AssociateEntitiesToExperience",
    "associate_personas_to_entities": "AssociatePersonasToEntities",
    "create_data_source": "CreateDataSource",
    "create_experience": "CreateExperience",
    "delete_data_source": "DeleteDataSource",
    "delete_experience": "DeleteExperience",
    "describe_data_source": "DescribeDataSource",
    "describe_experience": "DescribeExperience",
    "disassociate_entities_from_experience": "DisassociateEntitiesFromExperience",
    "disassociate_personas_from_entities": "DisassociatePersonasFromEntities",
    "list_data_source_sync_jobs": "ListDataSourceSyncJobs",
    "list_entity_personas": "ListEntityPersonas",
    "list_experience_entities": "ListExperienceEntities",
    "list_experiences": "ListExperiences",
    "start_data_source_sync_job": "StartDataSourceSyncJob",
    "stop_data_source_sync_job": "StopDataSourceSyncJob",
    "update_data_source": "UpdateDataSource",
    "update_experience": "UpdateExperience",
}
"""The operations of the service that are not offered, by the name of their methods."""

DATA_SOURCES = {"list_data_sources": "ListDataSources", **REFUSED}
"""Their methods, by Kendra's names."""


class DataSourceOperations(Operations):
    """Tell that there are no data sources."""

    def list_data_sources(self, **members: Any) -> dict[str, Any]:
        """The data sources of the index IndexId: none."""
        return self._perform("ListDataSources", self._list_data_sources, members)

    def _list_data_sources(self, members: Mapping[str, Any]) -> dict[str, Any]:
        given = known(members, "IndexId", "NextToken", "MaxResults", operation="ListDataSources")
        self._index(given.get("IndexId"))
        page([], given)
        return {"SummaryItems": []}


def _refusing(operation: str) -> Callable[..., dict[str, Any]]:
    def refused(self: DataSourceOperations, **members: Any) -> dict[str, Any]:
        def run(_: Mapping[str, Any]) -> dict[str, Any]:
            raise InvalidRequest(
                f"{operation} is not offered: there are no data sources and no experiences here; documents come by "
                "BatchPutDocument, or by ragvec.pipeline.Pipeline from folders"
            )

        return self._perform(operation, run, members)

    refused.__doc__ = f"Raises ValidationException: {operation} is not offered."
    return refused


for _method, _operation in REFUSED.items():
    setattr(DataSourceOperations, _method, _refusing(_operation))
