locals {
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
