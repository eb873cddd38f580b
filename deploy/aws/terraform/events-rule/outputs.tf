output "role_arn" {
  description = "Role that sends; the queue's policy goes by its name."
  value       = aws_iam_role.this.arn
}
