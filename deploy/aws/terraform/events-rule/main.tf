# What sends IAM's events of an account to the queue of events-queue: the same rule and role as events-rule.yaml makes. Applied in
# every audited account, in IAM's home region. A CloudTrail trail that records management events must exist in the account.

terraform {
  required_version = ">= 1.3"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

data "aws_partition" "current" {}
data "aws_caller_identity" "current" {}
data "aws_region" "current" {}

locals {
  partition  = data.aws_partition.current.partition
  account_id = data.aws_caller_identity.current.account_id
  boundary   = var.permissions_boundary == "" ? null : "arn:${local.partition}:iam::${local.account_id}:policy/${var.permissions_boundary}"
}

locals {
  home_regions = [
    "us-east-1",
    "us-gov-west-1",
    "cn-north-1",
    "us-iso-east-1",
    "us-isob-east-1",
    "eu-isoe-west-1",
    "us-isof-south-1",
    "eusc-de-east-1",
  ]
}

resource "aws_iam_role" "this" {
  name                 = var.role_name
  path                 = var.role_path
  permissions_boundary = local.boundary
  description          = "Sends IAM's events of this account to mfa-operator's queue"
  tags                 = merge(var.tags, { managed-by = "mfa-operator" })
  # A rule can only be given a role of its own account (iam:PassRole), so no other account's rule can send with this one.
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "EventBridgeAssumes"
      Effect    = "Allow"
      Principal = { Service = "events.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
}

resource "aws_iam_role_policy" "this" {
  name = "send-events"
  role = aws_iam_role.this.name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid      = "SendEvents"
      Effect   = "Allow"
      Action   = "sqs:SendMessage"
      Resource = var.queue_arn
    }]
  })
}

locals {
  # By source and eventName: the detail-type of the same events is not the same in every partition.
  rules = merge(
    {
      mfa-operator-iam = {
        description = "What changes who has console access and MFA (IAM of partition ${local.partition})"
        source      = "aws.iam"
        events = [
          "CreateLoginProfile",
          "CreateUser",
          "DeactivateMFADevice",
          "DeleteLoginProfile",
          "DeleteUser",
          "EnableMFADevice",
          "TagUser",
          "UntagUser",
          "UpdateUser",
        ]
        policies = []
      }
      mfa-operator-quarantine = {
        description = "Somebody touches the operator's own quarantine policies"
        source      = "aws.iam"
        events = [
          "AttachUserPolicy",
          "CreatePolicyVersion",
          "DeletePolicy",
          "DetachUserPolicy",
          "SetDefaultPolicyVersion",
        ]
        policies = ["mfa-operator-quarantine", "mfa-operator-quarantine-keys"]
      }
    },
    var.organization_events ? {
      mfa-operator-organization = {
        description = "An account joined or left the organization"
        source      = "aws.organizations"
        events      = ["AccountDepartedOrganization", "AccountJoinedOrganization"]
        policies    = []
      }
    } : {}
  )
}

resource "aws_cloudwatch_event_rule" "this" {
  for_each = local.rules

  name        = each.key
  description = each.value.description
  state       = "ENABLED"
  tags        = merge(var.tags, { managed-by = "mfa-operator" })
  event_pattern = jsonencode({
    source = [each.value.source]
    detail = merge(
      {
        eventName = each.value.events
        # A call that failed changed nothing.
        errorCode = [{ exists = false }]
      },
      length(each.value.policies) == 0 ? {} : {
        requestParameters = {
          policyArn = [for name in each.value.policies : { suffix = ":policy/mfa-operator/${name}" }]
        }
      }
    )
  })

  lifecycle {
    precondition {
      condition     = contains(local.home_regions, data.aws_region.current.name)
      error_message = "Give the module a provider in IAM's home region (us-east-1; us-gov-west-1, cn-north-1)."
    }
    precondition {
      condition     = split(":", var.queue_arn)[3] == data.aws_region.current.name
      error_message = "The queue must be in the same region: EventBridge does not send to a queue in another one."
    }
  }
}

resource "aws_cloudwatch_event_target" "this" {
  for_each = aws_cloudwatch_event_rule.this

  rule      = each.value.name
  target_id = "mfa-operator"
  arn       = var.queue_arn
  role_arn  = aws_iam_role.this.arn

  # A hint that comes later than the next pass is of no use.
  retry_policy {
    maximum_event_age_in_seconds = 300
    maximum_retry_attempts       = 20
  }

  depends_on = [aws_iam_role_policy.this]
}
