output "role_arn" {
  description = "operator_principal_arn of the other modules; with Irsa also the annotation eks.amazonaws.com/role-arn."
  value       = aws_iam_role.this.arn
}
