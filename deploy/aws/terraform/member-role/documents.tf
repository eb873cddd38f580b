# The documents, from the same files as everything else: nothing is said twice.

locals {
  policies_of_mode = {
    Audit                            = ["audit"]
    Quarantine                       = ["audit", "quarantine"]
    RemoveConsoleAccess              = ["audit", "remove-console-access"]
    QuarantineAndRemoveConsoleAccess = ["audit", "quarantine", "remove-console-access"]
  }

  # The files hold for every account; here they are narrowed to this one.
  policies = {
    for name in local.policies_of_mode[var.mode] : name => replace(
      file("${path.module}/../../policies/${name}.json"),
      "arn:*:iam::*:",
      "arn:${local.partition}:iam::${local.account_id}:"
    )
  }

  trust = jsonencode({
    Version = "2012-10-17"
    Statement = concat([
      merge(
        {
          Sid       = "OperatorAssumes"
          Effect    = "Allow"
          Principal = { AWS = var.operator_principal_arn }
          Action    = "sts:AssumeRole"
        },
        var.external_id == "" ? {} : { Condition = { StringEquals = { "sts:ExternalId" = var.external_id } } }
      ),
      # EKS Pod Identity marks the operator's session with tags that go on to this role's session.
      {
        Sid       = "PodIdentityTags"
        Effect    = "Allow"
        Principal = { AWS = var.operator_principal_arn }
        Action    = "sts:TagSession"
      },
      ], var.additional_principal_arn == "" ? [] : [
      merge(
        {
          Sid       = "AdditionalPrincipalAssumes"
          Effect    = "Allow"
          Principal = { AWS = var.additional_principal_arn }
          Action    = "sts:AssumeRole"
        },
        var.external_id == "" ? {} : { Condition = { StringEquals = { "sts:ExternalId" = var.external_id } } }
      ),
    ])
  })
}
