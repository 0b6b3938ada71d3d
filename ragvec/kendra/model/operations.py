"""The members of each operation's request, and of the structures in them.

One line a shape: a member is `Name:kind`, with `!` after the name where it is required. Kinds are `text`, `int`,
`flag`, `time`, `blob`, another structure's name, `[kind]` for a list and `{kind=kind}` for a map. A number behind one
is the least length, or the least value of an `int`. The order of members is that in which complaints list them.
"""

from __future__ import annotations

__all__ = ["REQUESTS", "STRUCTURES"]

_PAGE = "NextToken:text1 MaxResults:int1"

REQUESTS: dict[str, str] = {
    # Searching
    "Query": "IndexId!:text36 QueryText:text AttributeFilter:AttributeFilter Facets:[Facet]"
    " RequestedDocumentAttributes:[text1]1 QueryResultTypeFilter:text"
    " DocumentRelevanceOverrideConfigurations:[DocumentRelevanceConfiguration] PageNumber:int PageSize:int"
    " SortingConfiguration:SortingConfiguration SortingConfigurations:[SortingConfiguration]1 UserContext:UserContext"
    " VisitorId:text1 SpellCorrectionConfiguration:SpellCorrectionConfiguration"
    " CollapseConfiguration:CollapseConfiguration",
    "Retrieve": "IndexId!:text36 QueryText!:text AttributeFilter:AttributeFilter RequestedDocumentAttributes:[text1]1"
    " DocumentRelevanceOverrideConfigurations:[DocumentRelevanceConfiguration] PageNumber:int PageSize:int"
    " UserContext:UserContext",
    # Indexes
    "CreateIndex": "Name!:text1 Edition:text RoleArn!:text"
    " ServerSideEncryptionConfiguration:ServerSideEncryptionConfiguration Description:text ClientToken:text1"
    " Tags:[Tag] UserTokenConfigurations:[UserTokenConfiguration] UserContextPolicy:text"
    " UserGroupResolutionConfiguration:UserGroupResolutionConfiguration",
    "DescribeIndex": "Id!:text36",
    "UpdateIndex": "Id!:text36 Name:text1 RoleArn:text Description:text"
    " DocumentMetadataConfigurationUpdates:[DocumentMetadataConfiguration] CapacityUnits:CapacityUnitsConfiguration"
    " UserTokenConfigurations:[UserTokenConfiguration] UserContextPolicy:text"
    " UserGroupResolutionConfiguration:UserGroupResolutionConfiguration",
    "DeleteIndex": "Id!:text36",
    "ListIndices": _PAGE,
    # Documents
    "BatchPutDocument": "IndexId!:text36 RoleArn:text Documents!:[Document]1"
    " CustomDocumentEnrichmentConfiguration:CustomDocumentEnrichmentConfiguration",
    "BatchDeleteDocument": "IndexId!:text36 DocumentIdList!:[text1]1"
    " DataSourceSyncJobMetricTarget:DataSourceSyncJobMetricTarget",
    "BatchGetDocumentStatus": "IndexId!:text36 DocumentInfoList!:[DocumentInfo]1",
    "ListDataSources": f"IndexId!:text36 {_PAGE}",
    # FAQs
    "CreateFaq": "IndexId!:text36 Name!:text1 Description:text S3Path!:S3Path RoleArn!:text Tags:[Tag]"
    " FileFormat:text ClientToken:text1 LanguageCode:text2",
    "DescribeFaq": "Id!:text1 IndexId!:text36",
    "DeleteFaq": "Id!:text1 IndexId!:text36",
    "ListFaqs": f"IndexId!:text36 {_PAGE}",
    # Tags
    "TagResource": "ResourceARN!:text1 Tags!:[Tag]",
    "UntagResource": "ResourceARN!:text1 TagKeys!:[text1]",
    "ListTagsForResource": "ResourceARN!:text1",
    # Feedback, analytics and suggestions
    "SubmitFeedback": "IndexId!:text36 QueryId!:text1 ClickFeedbackItems:[ClickFeedback]"
    " RelevanceFeedbackItems:[RelevanceFeedback]",
    "GetSnapshots": "IndexId!:text36 Interval!:text MetricType!:text NextToken:text1 MaxResults:int",
    "GetQuerySuggestions": "IndexId!:text36 QueryText!:text MaxSuggestionsCount:int SuggestionTypes:[text]"
    " AttributeSuggestionsConfig:AttributeSuggestionsGetConfig",
    "DescribeQuerySuggestionsConfig": "IndexId!:text36",
    "UpdateQuerySuggestionsConfig": "IndexId!:text36 Mode:text QueryLogLookBackWindowInDays:int"
    " IncludeQueriesWithoutUserInformation:flag MinimumNumberOfQueryingUsers:int1 MinimumQueryCount:int1"
    " AttributeSuggestionsConfig:AttributeSuggestionsUpdateConfig",
    "ClearQuerySuggestions": "IndexId!:text36",
    "CreateQuerySuggestionsBlockList": "IndexId!:text36 Name!:text1 Description:text SourceS3Path!:S3Path"
    " ClientToken:text1 RoleArn!:text Tags:[Tag]",
    "DescribeQuerySuggestionsBlockList": "IndexId!:text36 Id!:text36",
    "UpdateQuerySuggestionsBlockList": "IndexId!:text36 Id!:text36 Name:text1 Description:text SourceS3Path:S3Path"
    " RoleArn:text",
    "DeleteQuerySuggestionsBlockList": "IndexId!:text36 Id!:text36",
    "ListQuerySuggestionsBlockLists": f"IndexId!:text36 {_PAGE}",
    # Featured results
    "CreateFeaturedResultsSet": "IndexId!:text36 FeaturedResultsSetName!:text1 Description:text ClientToken:text1"
    " Status:text QueryTexts:[text] FeaturedDocuments:[FeaturedDocument] Tags:[Tag]",
    "DescribeFeaturedResultsSet": "IndexId!:text36 FeaturedResultsSetId!:text36",
    "UpdateFeaturedResultsSet": "IndexId!:text36 FeaturedResultsSetId!:text36 FeaturedResultsSetName:text1"
    " Description:text Status:text QueryTexts:[text] FeaturedDocuments:[FeaturedDocument]",
    "BatchDeleteFeaturedResultsSet": "IndexId!:text36 FeaturedResultsSetIds!:[text36]1",
    "ListFeaturedResultsSets": f"IndexId!:text36 {_PAGE}",
    # Synonyms
    "CreateThesaurus": "IndexId!:text36 Name!:text1 Description:text RoleArn!:text Tags:[Tag] SourceS3Path!:S3Path"
    " ClientToken:text1",
    "DescribeThesaurus": "Id!:text1 IndexId!:text36",
    "UpdateThesaurus": "Id!:text1 Name:text1 IndexId!:text36 Description:text RoleArn:text SourceS3Path:S3Path",
    "DeleteThesaurus": "Id!:text1 IndexId!:text36",
    "ListThesauri": f"IndexId!:text36 {_PAGE}",
    # Access
    "PutPrincipalMapping": "IndexId!:text36 DataSourceId:text1 GroupId!:text1 GroupMembers!:GroupMembers"
    " OrderingId:int0 RoleArn:text",
    "DescribePrincipalMapping": "IndexId!:text36 DataSourceId:text1 GroupId!:text1",
    "DeletePrincipalMapping": "IndexId!:text36 DataSourceId:text1 GroupId!:text1 OrderingId:int0",
    "ListGroupsOlderThanOrderingId": f"IndexId!:text36 DataSourceId:text1 OrderingId!:int0 {_PAGE}",
    "CreateAccessControlConfiguration": "IndexId!:text36 Name!:text1 Description:text AccessControlList:[Principal]"
    " HierarchicalAccessControlList:[HierarchicalPrincipal]1 ClientToken:text1",
    "DescribeAccessControlConfiguration": "IndexId!:text36 Id!:text1",
    "UpdateAccessControlConfiguration": "IndexId!:text36 Id!:text1 Name:text1 Description:text"
    " AccessControlList:[Principal] HierarchicalAccessControlList:[HierarchicalPrincipal]1",
    "DeleteAccessControlConfiguration": "IndexId!:text36 Id!:text1",
    "ListAccessControlConfigurations": f"IndexId!:text36 {_PAGE}",
}

_FILTER = "AttributeFilter"
_OPERATORS = ("EqualsTo", "ContainsAll", "ContainsAny", "GreaterThan", "GreaterThanOrEquals", "LessThan")

STRUCTURES: dict[str, str] = {
    # Attributes and filters
    "DocumentAttribute": "Key!:text1 Value!:DocumentAttributeValue",
    "DocumentAttributeValue": "StringValue:text1 StringListValue:[text1] LongValue:int DateValue:time",
    _FILTER: f"AndAllFilters:[{_FILTER}] OrAllFilters:[{_FILTER}] NotFilter:{_FILTER} "
    + " ".join(f"{operator}:DocumentAttribute" for operator in (*_OPERATORS, "LessThanOrEquals")),
    # Searching
    "Facet": "DocumentAttributeKey:text1 Facets:[Facet] MaxResults:int0",
    "SortingConfiguration": "DocumentAttributeKey!:text1 SortOrder!:text",
    "SpellCorrectionConfiguration": "IncludeQuerySpellCheckSuggestions!:flag",
    "CollapseConfiguration": "DocumentAttributeKey!:text1 SortingConfigurations:[SortingConfiguration]1"
    " MissingAttributeKeyStrategy:text Expand:flag ExpandConfiguration:ExpandConfiguration",
    "ExpandConfiguration": "MaxResultItemsToExpand:int MaxExpandedResultsPerItem:int",
    "UserContext": "Token:text1 UserId:text1 Groups:[text1]1 DataSourceGroups:[DataSourceGroup]1",
    "DataSourceGroup": "GroupId!:text1 DataSourceId!:text1",
    # Fields
    "DocumentMetadataConfiguration": "Name!:text1 Type!:text Relevance:Relevance Search:Search",
    "DocumentRelevanceConfiguration": "Name!:text1 Relevance!:Relevance",
    "Relevance": "Freshness:flag Importance:int1 Duration:text1 RankOrder:text ValueImportanceMap:{text1=int1}",
    "Search": "Facetable:flag Searchable:flag Displayable:flag Sortable:flag",
    # Indexes
    "CapacityUnitsConfiguration": "StorageCapacityUnits!:int0 QueryCapacityUnits!:int0",
    "ServerSideEncryptionConfiguration": "KmsKeyId:text1",
    "UserGroupResolutionConfiguration": "UserGroupResolutionMode!:text",
    "UserTokenConfiguration": "JwtTokenTypeConfiguration:JwtTokenTypeConfiguration"
    " JsonTokenTypeConfiguration:JsonTokenTypeConfiguration",
    "JwtTokenTypeConfiguration": "KeyLocation!:text URL:text1 SecretManagerArn:text UserNameAttributeField:text1"
    " GroupAttributeField:text1 Issuer:text1 ClaimRegex:text1",
    "JsonTokenTypeConfiguration": "UserNameAttributeField!:text1 GroupAttributeField!:text1",
    "Tag": "Key!:text1 Value!:text",
    # Documents
    "Document": "Id!:text1 Title:text Blob:blob S3Path:S3Path Attributes:[DocumentAttribute]"
    " AccessControlList:[Principal] HierarchicalAccessControlList:[HierarchicalPrincipal]1 ContentType:text"
    " AccessControlConfigurationId:text1",
    "DocumentInfo": "DocumentId!:text1 Attributes:[DocumentAttribute]",
    "DataSourceSyncJobMetricTarget": "DataSourceId!:text1 DataSourceSyncJobId:text1",
    "S3Path": "Bucket!:text3 Key!:text1",
    "CustomDocumentEnrichmentConfiguration": "InlineConfigurations:[InlineCustomDocumentEnrichmentConfiguration]"
    " PreExtractionHookConfiguration:HookConfiguration PostExtractionHookConfiguration:HookConfiguration RoleArn:text",
    "InlineCustomDocumentEnrichmentConfiguration": "Condition:DocumentAttributeCondition"
    " Target:DocumentAttributeTarget DocumentContentDeletion:flag",
    "HookConfiguration": "InvocationCondition:DocumentAttributeCondition LambdaArn!:text1 S3Bucket!:text3",
    "DocumentAttributeCondition": "ConditionDocumentAttributeKey!:text1 Operator!:text"
    " ConditionOnValue:DocumentAttributeValue",
    "DocumentAttributeTarget": "TargetDocumentAttributeKey:text1 TargetDocumentAttributeValueDeletion:flag"
    " TargetDocumentAttributeValue:DocumentAttributeValue",
    # Access
    "Principal": "Name!:text1 Type!:text Access!:text DataSourceId:text1",
    "HierarchicalPrincipal": "PrincipalList!:[Principal]",
    "GroupMembers": "MemberGroups:[MemberGroup]1 MemberUsers:[MemberUser]1 S3PathforGroupMembers:S3Path",
    "MemberGroup": "GroupId!:text1 DataSourceId:text1",
    "MemberUser": "UserId!:text1",
    # Feedback, suggestions and featured results
    "ClickFeedback": "ResultId!:text1 ClickTime!:time",
    "RelevanceFeedback": "ResultId!:text1 RelevanceValue!:text",
    "AttributeSuggestionsGetConfig": "SuggestionAttributes:[text1]1 AdditionalResponseAttributes:[text1]1"
    " AttributeFilter:AttributeFilter UserContext:UserContext",
    "AttributeSuggestionsUpdateConfig": "SuggestableConfigList:[SuggestableConfig] AttributeSuggestionsMode:text",
    "SuggestableConfig": "AttributeName:text1 Suggestable:flag",
    "FeaturedDocument": "Id:text1",
}
