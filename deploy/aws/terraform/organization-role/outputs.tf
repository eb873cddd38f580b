output "role_arn" {
  description = "spec.organization.roleArn of the MfaPolicy, and organization_role_arn of operator-role."
  value       = aws_iam_role.this.arn
}
