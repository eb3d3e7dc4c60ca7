"""Which operations are answered, and by which function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from opentrail_control_plane.operations.channels import (
    create_channel,
    delete_channel,
    get_channel,
    list_channels,
    update_channel,
)
from opentrail_control_plane.operations.context import Context, Reply
from opentrail_control_plane.operations.delegated_administrators import (
    deregister_organization_delegated_admin,
    register_organization_delegated_admin,
)
from opentrail_control_plane.operations.insights import list_insights_data, list_insights_metric_data
from opentrail_control_plane.operations.lookup_events import lookup_events
from opentrail_control_plane.operations.organizations import describe_account, describe_organization, list_accounts
from opentrail_control_plane.operations.public_keys import list_public_keys
from opentrail_control_plane.operations.put_audit_events import put_audit_events
from opentrail_control_plane.operations.resource_policies import (
    delete_resource_policy,
    get_resource_policy,
    put_resource_policy,
)
from opentrail_control_plane.operations.selectors import (
    get_event_configuration,
    get_event_selectors,
    get_insight_selectors,
    put_event_configuration,
    put_event_selectors,
    put_insight_selectors,
)
from opentrail_control_plane.operations.tags import add_tags, list_tags, remove_tags
from opentrail_control_plane.operations.trail_changes import (
    create_trail,
    delete_trail,
    start_logging,
    stop_logging,
    update_trail,
)
from opentrail_control_plane.operations.trail_status import get_trail_status
from opentrail_control_plane.operations.trails import describe_trails, get_trail, list_trails

Operation = Callable[[Context, dict[str, Any]], Reply]

OPERATIONS: Mapping[tuple[str, str], Operation] = {
    ("cloudtrail", "CreateTrail"): create_trail,
    ("cloudtrail", "UpdateTrail"): update_trail,
    ("cloudtrail", "DeleteTrail"): delete_trail,
    ("cloudtrail", "StartLogging"): start_logging,
    ("cloudtrail", "StopLogging"): stop_logging,
    ("cloudtrail", "DescribeTrails"): describe_trails,
    ("cloudtrail", "GetTrail"): get_trail,
    ("cloudtrail", "ListTrails"): list_trails,
    ("cloudtrail", "GetTrailStatus"): get_trail_status,
    ("cloudtrail", "PutEventSelectors"): put_event_selectors,
    ("cloudtrail", "GetEventSelectors"): get_event_selectors,
    ("cloudtrail", "PutInsightSelectors"): put_insight_selectors,
    ("cloudtrail", "GetInsightSelectors"): get_insight_selectors,
    ("cloudtrail", "PutEventConfiguration"): put_event_configuration,
    ("cloudtrail", "GetEventConfiguration"): get_event_configuration,
    ("cloudtrail", "AddTags"): add_tags,
    ("cloudtrail", "RemoveTags"): remove_tags,
    ("cloudtrail", "ListTags"): list_tags,
    ("cloudtrail", "ListPublicKeys"): list_public_keys,
    ("cloudtrail", "LookupEvents"): lookup_events,
    ("cloudtrail", "ListInsightsData"): list_insights_data,
    ("cloudtrail", "ListInsightsMetricData"): list_insights_metric_data,
    ("cloudtrail", "RegisterOrganizationDelegatedAdmin"): register_organization_delegated_admin,
    ("cloudtrail", "DeregisterOrganizationDelegatedAdmin"): deregister_organization_delegated_admin,
    ("cloudtrail", "CreateChannel"): create_channel,
    ("cloudtrail", "UpdateChannel"): update_channel,
    ("cloudtrail", "GetChannel"): get_channel,
    ("cloudtrail", "ListChannels"): list_channels,
    ("cloudtrail", "DeleteChannel"): delete_channel,
    ("cloudtrail", "PutResourcePolicy"): put_resource_policy,
    ("cloudtrail", "GetResourcePolicy"): get_resource_policy,
    ("cloudtrail", "DeleteResourcePolicy"): delete_resource_policy,
    ("cloudtrail-data", "PutAuditEvents"): put_audit_events,
    ("organizations", "DescribeOrganization"): describe_organization,
    ("organizations", "ListAccounts"): list_accounts,
    ("organizations", "DescribeAccount"): describe_account,
}
