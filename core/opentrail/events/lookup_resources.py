"""The resources that an event is about: what the record names itself, and well-known names in what was called with.

CloudTrail's event history shows more resources than the record's `resources` has, and does not document which. This is
our table: by the service that was called, the members of `requestParameters` (and of `responseElements`, where the
service gives the name) that name a resource, with the type as AWS Config and CloudFormation write it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

from msgspec import Raw

from opentrail.events.lookup_values import ABSENT, elements_of, members_of, text_of, texts_at

MAX_RESOURCES = 50
"""How many resources of one event are looked at."""


class LookupResource(NamedTuple):
    """A resource of an event. At least one of the two is known."""

    type: str | None
    name: str | None


_ANY_SERVICE: Mapping[str, str | None] = {
    "kmsKeyId": "AWS::KMS::Key",
    "resourceArn": None,
    "roleArn": "AWS::IAM::Role",
    "s3BucketName": "AWS::S3::Bucket",
}
"""Members that mean the same whatever is called."""

_NAMED_IN_CALLS: Mapping[str, Mapping[str, str | None]] = {
    "autoscaling": {
        "autoScalingGroupName": "AWS::AutoScaling::AutoScalingGroup",
        "launchConfigurationName": "AWS::AutoScaling::LaunchConfiguration",
    },
    "cloudformation": {"stackName": "AWS::CloudFormation::Stack", "changeSetName": "AWS::CloudFormation::ChangeSet"},
    "cloudfront": {"id": None, "distributionId": "AWS::CloudFront::Distribution"},
    "cloudtrail": {
        "name": "AWS::CloudTrail::Trail",
        "trailName": "AWS::CloudTrail::Trail",
        "trailNameList": "AWS::CloudTrail::Trail",
        "snsTopicName": "AWS::SNS::Topic",
        "channel": "AWS::CloudTrail::Channel",
        "eventDataStore": "AWS::CloudTrail::EventDataStore",
    },
    "config": {
        "configRuleName": "AWS::Config::ConfigRule",
        "configurationRecorderName": "AWS::Config::ConfigurationRecorder",
        "deliveryChannelName": "AWS::Config::DeliveryChannel",
    },
    "dynamodb": {"tableName": "AWS::DynamoDB::Table", "globalTableName": "AWS::DynamoDB::GlobalTable"},
    "ec2": {
        "allocationId": "AWS::EC2::EIP",
        "allocationIdsSet.items.allocationId": "AWS::EC2::EIP",
        "groupId": "AWS::EC2::SecurityGroup",
        "groupName": "AWS::EC2::SecurityGroup",
        "groupSet.items.groupId": "AWS::EC2::SecurityGroup",
        "imageId": "AWS::EC2::Ami",
        "imagesSet.items.imageId": "AWS::EC2::Ami",
        "instanceId": "AWS::EC2::Instance",
        "instancesSet.items.imageId": "AWS::EC2::Ami",
        "instancesSet.items.instanceId": "AWS::EC2::Instance",
        "instancesSet.items.subnetId": "AWS::EC2::Subnet",
        "instancesSet.items.vpcId": "AWS::EC2::VPC",
        "internetGatewayId": "AWS::EC2::InternetGateway",
        "internetGateway.internetGatewayId": "AWS::EC2::InternetGateway",
        "keyName": "AWS::EC2::KeyPair",
        "launchTemplate.launchTemplateId": "AWS::EC2::LaunchTemplate",
        "natGatewayId": "AWS::EC2::NatGateway",
        "networkAclId": "AWS::EC2::NetworkAcl",
        "networkInterfaceId": "AWS::EC2::NetworkInterface",
        "networkInterface.networkInterfaceId": "AWS::EC2::NetworkInterface",
        "resourcesSet.items.resourceId": None,
        "routeTableId": "AWS::EC2::RouteTable",
        "routeTable.routeTableId": "AWS::EC2::RouteTable",
        "securityGroupIdSet.items.groupId": "AWS::EC2::SecurityGroup",
        "snapshotId": "AWS::EC2::Snapshot",
        "subnetId": "AWS::EC2::Subnet",
        "subnet.subnetId": "AWS::EC2::Subnet",
        "volumeId": "AWS::EC2::Volume",
        "volumeSet.items.volumeId": "AWS::EC2::Volume",
        "vpcId": "AWS::EC2::VPC",
        "vpc.vpcId": "AWS::EC2::VPC",
    },
    "ecr": {"repositoryName": "AWS::ECR::Repository"},
    "ecs": {
        "cluster": "AWS::ECS::Cluster",
        "service": "AWS::ECS::Service",
        "taskDefinition": "AWS::ECS::TaskDefinition",
    },
    "eks": {"name": "AWS::EKS::Cluster", "clusterName": "AWS::EKS::Cluster", "nodegroupName": "AWS::EKS::Nodegroup"},
    "elasticloadbalancing": {
        "loadBalancerArn": "AWS::ElasticLoadBalancingV2::LoadBalancer",
        "loadBalancerName": "AWS::ElasticLoadBalancing::LoadBalancer",
        "targetGroupArn": "AWS::ElasticLoadBalancingV2::TargetGroup",
    },
    "events": {"name": None, "rule": "AWS::Events::Rule", "eventBusName": "AWS::Events::EventBus"},
    "iam": {
        "accessKeyId": "AWS::IAM::AccessKey",
        "accessKey.accessKeyId": "AWS::IAM::AccessKey",
        "groupName": "AWS::IAM::Group",
        "instanceProfileName": "AWS::IAM::InstanceProfile",
        "policyArn": "AWS::IAM::Policy",
        "policyName": "AWS::IAM::Policy",
        "roleName": "AWS::IAM::Role",
        "sAMLProviderArn": "AWS::IAM::SAMLProvider",
        "serialNumber": "AWS::IAM::MFADevice",
        "userName": "AWS::IAM::User",
    },
    "kinesis": {"streamName": "AWS::Kinesis::Stream"},
    "kms": {"keyId": "AWS::KMS::Key", "targetKeyId": "AWS::KMS::Key", "aliasName": "AWS::KMS::Alias"},
    "lambda": {"functionName": "AWS::Lambda::Function", "layerName": "AWS::Lambda::LayerVersion"},
    "logs": {"logGroupName": "AWS::Logs::LogGroup", "logStreamName": "AWS::Logs::LogStream"},
    "monitoring": {"alarmName": "AWS::CloudWatch::Alarm", "alarmNames": "AWS::CloudWatch::Alarm"},
    "organizations": {
        "accountId": "AWS::Organizations::Account",
        "organizationalUnitId": "AWS::Organizations::OrganizationalUnit",
        "policyId": "AWS::Organizations::Policy",
    },
    "rds": {
        "dBClusterIdentifier": "AWS::RDS::DBCluster",
        "dBClusterSnapshotIdentifier": "AWS::RDS::DBClusterSnapshot",
        "dBInstanceIdentifier": "AWS::RDS::DBInstance",
        "dBParameterGroupName": "AWS::RDS::DBParameterGroup",
        "dBSnapshotIdentifier": "AWS::RDS::DBSnapshot",
        "dBSubnetGroupName": "AWS::RDS::DBSubnetGroup",
    },
    "redshift": {"clusterIdentifier": "AWS::Redshift::Cluster"},
    "route53": {"hostedZoneId": "AWS::Route53::HostedZone"},
    "s3": {"bucketName": "AWS::S3::Bucket"},
    "secretsmanager": {"secretId": "AWS::SecretsManager::Secret", "name": "AWS::SecretsManager::Secret"},
    "sns": {"topicArn": "AWS::SNS::Topic", "name": "AWS::SNS::Topic"},
    "sqs": {"queueUrl": "AWS::SQS::Queue", "queueName": "AWS::SQS::Queue"},
    "ssm": {
        "documentName": "AWS::SSM::Document",
        "instanceId": "AWS::EC2::Instance",
        "instanceIds": "AWS::EC2::Instance",
        "name": None,  # of a parameter, a document or a window
        "names": "AWS::SSM::Parameter",
    },
    "states": {"stateMachineArn": "AWS::StepFunctions::StateMachine"},
}
"""By the service, the first label of `eventSource`: paths of members, and the type of what they name, if it has one."""

_Named = Mapping[str, Sequence[tuple[Sequence[str], str | None]]]
"""By the first member of a path: those behind it, and the type."""


def _compiled(paths: Mapping[str, str | None]) -> _Named:
    named: dict[str, list[tuple[Sequence[str], str | None]]] = {}
    for path, type_ in paths.items():
        first, *rest = path.split(".")
        named.setdefault(first, []).append((rest, type_))
    return named


_NAMED = {service: _compiled({**_ANY_SERVICE, **paths}) for service, paths in _NAMED_IN_CALLS.items()}
_NAMED_ANYWHERE = _compiled(_ANY_SERVICE)
_NAMED_BY_SERVICE = frozenset({"ec2", "iam"})
"""Services whose answers name what they made, as their requests do."""


def resources_of(
    event_source: str | None, resources: Raw, request_parameters: Raw, response_elements: Raw
) -> Sequence[LookupResource]:
    """The distinct resources of an event, those that its record names first; at most MAX_RESOURCES."""
    service = (event_source or "").partition(".")[0]
    found = dict.fromkeys(_listed(resources))
    found.update(dict.fromkeys(_named(service, request_parameters)))
    if service in _NAMED_BY_SERVICE:
        found.update(dict.fromkeys(_named(service, response_elements)))
    return list(islice(found, MAX_RESOURCES))


def _listed(resources: Raw) -> Iterator[LookupResource]:
    """`resources` of a record: by ARN, or by the beginning of the ARNs where the call was for many."""
    for element in elements_of(resources):
        members = members_of(element)
        type_ = text_of(members.get("type", ABSENT))
        name = text_of(members.get("ARN", ABSENT)) or text_of(members.get("ARNPrefix", ABSENT))
        if type_ or name:
            yield LookupResource(type_, name)


def _named(service: str, called_with: Raw) -> Iterator[LookupResource]:
    """What the members of a request or an answer name."""
    known = _NAMED.get(service, _NAMED_ANYWHERE)
    for member, value in members_of(called_with).items():
        for rest, type_ in known.get(member, ()):
            for name in texts_at(value, rest):
                yield LookupResource(type_, name)
