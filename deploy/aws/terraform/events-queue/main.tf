# The queue of IAM's events that mfa-operator reads: the same queue as events-queue.yaml makes. Applied once, in the operator's
# account and in IAM's home region: EventBridge crosses accounts on its way to a queue, but not regions.

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
data "aws_region" "current" {}

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

resource "aws_sqs_queue" "this" {
  name                       = var.queue_name
  message_retention_seconds  = 300
  visibility_timeout_seconds = 60
  receive_wait_time_seconds  = 20
  sqs_managed_sse_enabled    = true
  tags                       = merge(var.tags, { managed-by = "mfa-operator" })

  lifecycle {
    precondition {
      condition     = contains(local.home_regions, data.aws_region.current.name)
      error_message = "Give the module a provider in IAM's home region (us-east-1; us-gov-west-1, cn-north-1)."
    }
  }
}

resource "aws_sqs_queue_policy" "this" {
  queue_url = aws_sqs_queue.this.url
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat([
      {
        Sid       = "OrganizationSends"
        Effect    = "Allow"
        Principal = "*"
        Action    = "sqs:SendMessage"
        Resource  = aws_sqs_queue.this.arn
        Condition = {
          StringEquals = { "aws:PrincipalOrgID" = var.organization_id }
          ArnLike = {
            "aws:PrincipalArn" = "arn:${data.aws_partition.current.partition}:iam::*:role${var.sender_role_path}${var.sender_role_name}"
          }
        }
      },
      {
        Sid       = "DenyHTTP"
        Effect    = "Deny"
        Principal = "*"
        Action    = "sqs:*"
        Resource  = aws_sqs_queue.this.arn
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
      ], [
      for statement in jsondecode(file("${path.module}/../../policies/events.json")).Statement :
      merge(statement, {
        Sid       = "OperatorReads"
        Principal = { AWS = var.operator_principal_arn }
        Resource  = aws_sqs_queue.this.arn
      }) if var.operator_principal_arn != ""
    ])
  })
}
