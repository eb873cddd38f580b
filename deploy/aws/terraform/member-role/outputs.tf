output "role_arn" {
  description = "roleArn of this account in the MfaPolicy."
  value       = aws_iam_role.this.arn
}
