# The documents, from the same files as everything else where there is one.

locals {
  cluster_arn = var.cluster_arn != "" ? var.cluster_arn : "arn:${local.partition}:eks:${data.aws_region.current.name}:${local.account_id}:cluster/${var.cluster_name}"

  pod_identity_trust = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "PodIdentityAssumes"
      Effect    = "Allow"
      Principal = { Service = "pods.eks.amazonaws.com" }
      Action    = ["sts:AssumeRole", "sts:TagSession"]
      Condition = {
        StringEquals = {
          # Without it, a service account of these names in any cluster of the account gets the role.
          "aws:RequestTag/eks-cluster-arn"            = local.cluster_arn
          "aws:RequestTag/kubernetes-namespace"       = var.namespace
          "aws:RequestTag/kubernetes-service-account" = var.service_account
        }
      }
    }]
  })

  irsa_trust = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "ServiceAccountAssumes"
      Effect    = "Allow"
      Principal = { Federated = "arn:${local.partition}:iam::${local.account_id}:oidc-provider/${var.oidc_provider}" }
      Action    = "sts:AssumeRoleWithWebIdentity"
      Condition = {
        StringEquals = {
          "${var.oidc_provider}:aud" = var.audience
          "${var.oidc_provider}:sub" = "system:serviceaccount:${var.namespace}:${var.service_account}"
        }
      }
    }]
  })

  assume = {
    assume-member-roles = {
      sid      = "AssumeMemberRoles"
      resource = "arn:${local.partition}:iam::*:role${var.member_role_path}${var.member_role_name}"
    }
    assume-organization-role = {
      sid      = "AssumeOrganizationRole"
      resource = var.organization_role_arn
    }
  }

  policies = merge(
    {
      for name, role in local.assume : name => jsonencode({
        Version = "2012-10-17"
        Statement = [{
          Sid      = role.sid
          Effect   = "Allow"
          Action   = ["sts:AssumeRole", "sts:TagSession"]
          Resource = role.resource
        }]
      }) if role.resource != ""
    },
    var.list_organization ? { organization = file("${path.module}/../../policies/organization.json") } : {},
    var.events_queue_arn == "" ? {} : {
      events = replace(
        file("${path.module}/../../policies/events.json"),
        "arn:*:sqs:*:*:mfa-operator-events",
        var.events_queue_arn
      )
    }
  )
}
