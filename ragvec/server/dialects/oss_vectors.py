"""Indexes and vectors of OSS, and of its fusion indexes, in whose records the vector has a name of its own."""

from __future__ import annotations

import uuid
from typing import Any

import msgspec

from ragvec.api.access import Session
from ragvec.api.names import check_bucket_name, check_index_name
from ragvec.api.operations import perform
from ragvec.api.responses import IndexList, VectorList
from ragvec.api.settings import setting_tags
from ragvec.engine.protocol import BucketInfo, IndexSpec, TextField
from ragvec.errors import IndexNotFound, InvalidRequest, NotFound
from ragvec.server.dialects.oss_schema import (
    SCHEMA,
    STANDARD_VECTOR,
    FusionSchema,
    FusionSchemas,
    fusion_schema,
)
from ragvec.server.dialects.shared import written_time

__all__ = ["OssVectors"]


class OssVectors:
    """The operations on the indexes of a store. `session` is of the OSS dialect, `fusion` the same with as many
    metadata keys as a schema has fields."""

    def __init__(self, session: Session) -> None:
        self.session = session
        limits = msgspec.structs.replace(session.dialect.limits, metadata_keys=100)
        self.fusion = msgspec.structs.replace(session, dialect=msgspec.structs.replace(session.dialect, limits=limits))
        self.schemas = FusionSchemas(session.engine.catalog)

    # -- indexes -------------------------------------------------------------------------------------------------------

    def create_index(self, arguments: dict[str, Any]) -> None:
        """Create a standard index. Raises as CreateIndex of the operations layer."""
        if "metadataConfiguration" in arguments:
            raise InvalidRequest("Unknown parameter `metadataConfiguration`", path="/metadataConfiguration")
        if "metadata" in arguments:
            arguments = dict(arguments)
            arguments["metadataConfiguration"] = arguments.pop("metadata")
        perform(self.session, "CreateIndex", arguments=arguments)

    def create_fusion_index(self, arguments: dict[str, Any]) -> None:
        """Create a fusion index.

        Raises:
            BucketNotFound, IndexExists, QuotaExceeded. InvalidRequest: the schema is not one, see `oss_schema`.
        """
        bucket, name = arguments["vectorBucketName"], arguments.get("indexName")
        check_bucket_name(bucket, self.session.dialect)
        unknown = sorted(arguments.keys() - {"vectorBucketName", "indexName", "mode", "schemaConfiguration"})
        if unknown:
            raise InvalidRequest(f"Unknown parameter `{unknown[0]}` for PutVectorIndexFusion", path=f"/{unknown[0]}")
        if not isinstance(name, str):
            raise InvalidRequest(f"/indexName must be a text, got {name!r:.60}", path="/indexName")
        check_index_name(name, self.session.dialect)
        if arguments.get("mode", "fusion") != "fusion":
            raise InvalidRequest(f"/mode must be fusion, got {arguments['mode']!r:.60}", path="/mode")
        schema = fusion_schema(arguments.get("schemaConfiguration"))
        spec = IndexSpec(
            uid=str(uuid.uuid4()),
            bucket=bucket,
            name=name,
            dimension=schema.dimension,
            metric=schema.metric,
            created=self.session.clock(),
            non_filterable=schema.not_filterable,
        )
        self.session.engine.catalog.create_index(
            spec,
            tags=setting_tags({SCHEMA: msgspec.json.encode(schema.document).decode()}),
            max_indexes=self.session.dialect.limits.indexes,
            text=tuple(TextField(key) for key in schema.texts),
        )

    def get_index(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Describe an index. Raises BucketNotFound, IndexNotFound, InvalidRequest."""
        perform(self.session, "GetIndex", arguments=arguments)
        spec = self.session.engine.catalog.index(arguments["vectorBucketName"], arguments["indexName"])
        return {"index": self._shown(spec)}

    def list_indexes(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Return a page of indexes, described in full; `maxResults` 0 stands for the default. Raises BucketNotFound,
        InvalidToken, InvalidRequest."""
        if arguments.get("maxResults") == 0:
            arguments = {name: value for name, value in arguments.items() if name != "maxResults"}
        page = perform(self.session, "ListIndexes", arguments=arguments)
        assert isinstance(page, IndexList)
        shown = []
        for summary in page.indexes:
            try:
                spec = self.session.engine.catalog.index(summary.vector_bucket_name, summary.index_name)
                shown.append(self._shown(spec))
            except IndexNotFound:
                continue  # deleted since it was listed
        listed: dict[str, Any] = {"indexes": shown}
        if page.next_token is not None:
            listed["nextToken"] = page.next_token
        return listed

    def _shown(self, spec: IndexSpec) -> dict[str, Any]:
        schema = self.schemas.of(spec)
        shown: dict[str, Any] = {
            "vectorBucketName": spec.bucket,
            "indexName": spec.name,
            "bucketArn": self.session.arn_of(BucketInfo(spec.bucket, 0.0)),
            "createTime": written_time(spec.created, self.session.dialect),
            "dataType": "float32",
            "dimension": spec.dimension,
            "distanceMetric": spec.metric,
            "status": "enable",
        }
        if schema is not None:
            return {**shown, "mode": "fusion", "schemaConfiguration": schema.document}
        if spec.non_filterable:
            shown["metadata"] = {"nonFilterableMetadataKeys": list(spec.non_filterable)}
        return shown

    # -- vectors -------------------------------------------------------------------------------------------------------

    def put_vectors(self, arguments: dict[str, Any]) -> None:
        """Put vectors; into a fusion index under the name that its schema has for them. Raises as PutVectors."""
        schema = self._schema(arguments)
        if schema is None:
            perform(self.session, "PutVectors", arguments=arguments)
            return
        vectors = arguments.get("vectors")
        if isinstance(vectors, list):
            arguments = {**arguments, "vectors": [_standard(one, schema, at) for at, one in enumerate(vectors)]}
        perform(self.fusion, "PutVectors", arguments=arguments)

    def read_vectors(self, operation: str, arguments: dict[str, Any]) -> VectorList | dict[str, Any]:
        """Do GetVectors or ListVectors; raises as those. The vectors of a fusion index have the name of its field."""
        found = perform(self.session, operation, arguments=arguments)
        assert isinstance(found, VectorList)
        schema = self._schema(arguments) if arguments.get("returnData") else None
        if schema is None or schema.vector == STANDARD_VECTOR:
            return found
        document = found.document()
        for vector in document["vectors"]:
            vector["data"] = {schema.vector: vector["data"]["float32"]}
        return document

    def query_vectors(self, arguments: dict[str, Any]) -> VectorList:
        """Do QueryVectors, whose reply tells no metric here. Raises as that, and InvalidRequest: the vector of a fusion
        index has another name than the one that the operation knows."""
        schema = self._schema(arguments)
        if schema is not None and schema.vector != STANDARD_VECTOR:
            raise InvalidRequest(
                f"QueryVectors works on a fusion index whose vector field is named {STANDARD_VECTOR}; that of "
                f"{arguments['indexName']} is named {schema.vector}: use QueryVectorsFusion",
                path="/indexName",
            )
        found = perform(self.session, "QueryVectors", arguments=arguments)
        assert isinstance(found, VectorList)
        return VectorList(vectors=found.vectors)

    def _schema(self, arguments: dict[str, Any]) -> FusionSchema | None:
        """The schema of the index that is meant, None where it has none, or there is none: the operation says which."""
        bucket, index = arguments["vectorBucketName"], arguments.get("indexName")
        if not isinstance(index, str):
            return None
        try:
            return self.schemas.of(self.session.engine.catalog.index(bucket, index))
        except NotFound:
            return None


def _standard(vector: Any, schema: FusionSchema, at: int) -> Any:
    """A record as a standard index takes it; what is no record is left to the operation to refuse."""
    if not isinstance(vector, dict) or not isinstance(vector.get("data"), dict):
        return vector
    if vector["data"].keys() != {schema.vector}:
        got = ", ".join(map(repr, vector["data"])) or "none"
        raise InvalidRequest(
            f"Expected the vector {schema.vector!r} of the schema alone, got {got:.200} - at `/vectors/{at}/data`",
            path=f"/vectors/{at}/data",
        )
    schema.check(vector.get("metadata"), f"vectors[{at}].metadata")
    return {**vector, "data": {STANDARD_VECTOR: vector["data"][schema.vector]}}
