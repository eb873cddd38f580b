# The role that mfa-operator assumes in an account it audits: the same role as member-role.yaml makes.

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

locals {
  partition  = data.aws_partition.current.partition
  account_id = data.aws_caller_identity.current.account_id
  boundary   = var.permissions_boundary == "" ? null : "arn:${local.partition}:iam::${local.account_id}:policy/${var.permissions_boundary}"
}

resource "aws_iam_role" "this" {
  name                 = var.role_name
  path                 = var.role_path
  permissions_boundary = local.boundary
  description          = "Assumed by mfa-operator to see who can sign in to the console without MFA"
  assume_role_policy   = local.trust
  tags                 = merge(var.tags, { managed-by = "mfa-operator" })
}

resource "aws_iam_role_policy" "this" {
  for_each = local.policies

  name   = each.key
  role   = aws_iam_role.this.name
  policy = each.value
}
