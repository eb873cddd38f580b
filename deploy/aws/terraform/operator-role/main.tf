# The operator's own role, in the account of its cluster: the same role as operator-role.yaml makes.

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

resource "aws_iam_role" "this" {
  name                 = var.role_name
  path                 = var.role_path
  permissions_boundary = local.boundary
  description          = "mfa-operator itself; may assume the member roles"
  assume_role_policy   = var.identity == "Irsa" ? local.irsa_trust : local.pod_identity_trust
  tags                 = merge(var.tags, { managed-by = "mfa-operator" })

  lifecycle {
    precondition {
      condition     = var.identity != "Irsa" || var.oidc_provider != ""
      error_message = "identity Irsa needs oidc_provider."
    }
    precondition {
      condition     = var.identity != "PodIdentity" || var.cluster_name != "" || var.cluster_arn != ""
      error_message = "identity PodIdentity needs cluster_name or cluster_arn."
    }
  }
}

resource "aws_iam_role_policy" "this" {
  for_each = local.policies

  name   = each.key
  role   = aws_iam_role.this.name
  policy = each.value
}

resource "aws_eks_pod_identity_association" "this" {
  count = var.identity == "PodIdentity" && var.cluster_name != "" ? 1 : 0

  cluster_name    = var.cluster_name
  namespace       = var.namespace
  service_account = var.service_account
  role_arn        = aws_iam_role.this.arn
}
