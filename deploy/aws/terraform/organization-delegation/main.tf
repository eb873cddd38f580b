# The organization's resource-based delegation policy, with one statement: what organization-delegation.yaml makes. Applied in the
# management account. An organization has one such policy: where there is one already, add the statement to it by hand.

terraform {
  required_version = ">= 1.3"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

locals {
  listing = jsondecode(file("${path.module}/../../policies/organization.json"))
}

resource "aws_organizations_resource_policy" "this" {
  content = jsonencode(merge(local.listing, {
    Statement = [
      for statement in local.listing.Statement :
      merge(statement, { Principal = { AWS = var.operator_principal_arn } })
    ]
  }))
  tags = merge(var.tags, { managed-by = "mfa-operator" })
}
