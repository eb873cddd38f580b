variable "operator_principal_arn" {
  description = "ARN of the operator's own role (output role_arn of operator-role, applied with list_organization). It must exist already. When it is deleted and made again, apply this module again."
  type        = string

  validation {
    condition     = can(regex("^arn:aws(-[a-z]+)*:iam::[0-9]{12}:(role|user)/[!-~]+$", var.operator_principal_arn))
    error_message = "An ARN such as arn:aws:iam::999988887777:role/mfa-operator-controller."
  }
}

variable "tags" {
  description = "Further tags of the policy."
  type        = map(string)
  default     = {}
}
