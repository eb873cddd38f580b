variable "operator_principal_arn" {
  description = "ARN of the operator's own role (output RoleArn of operator-role.yaml). It must exist already. When it is deleted and made again, apply this module again: IAM keeps the identity of the role and not its name."
  type        = string

  validation {
    condition     = can(regex("^arn:aws(-[a-z]+)*:iam::[0-9]{12}:(root|(role|user)/[!-~]+)$", var.operator_principal_arn))
    error_message = "An ARN such as arn:aws:iam::111122223333:role/mfa-operator-controller."
  }
}

variable "external_id" {
  description = "What the operator must send as well (spec.organization.externalId of the MfaPolicy). Empty asks for none. Give one where several teams write MfaPolicies for one operator: without it, any of them can name this role."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^([\\w+=,.@:/-]{2,})?$", var.external_id)) && length(var.external_id) <= 1224
    error_message = "2 to 1224 of the characters that sts:ExternalId takes, or nothing."
  }
}

variable "additional_principal_arn" {
  description = "ARN of one more role or user that may assume the role, with the same external id: whoever wants to see from a laptop which accounts a policy covers (mfa-operator accounts). Empty trusts the operator alone; its pod can be used instead (kubectl exec)."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^(arn:aws(-[a-z]+)*:iam::[0-9]{12}:(role|user)/[!-~]+)?$", var.additional_principal_arn))
    error_message = "An ARN such as arn:aws:iam::111122223333:role/on-call, or nothing."
  }
}

variable "role_name" {
  description = "The role's name."
  type        = string
  default     = "mfa-operator-organization"

  validation {
    condition     = can(regex("^[\\w+=,.@-]{1,64}$", var.role_name))
    error_message = "1 to 64 of the characters that IAM takes in a role's name."
  }
}

variable "role_path" {
  description = "The role's path, such as /security/."
  type        = string
  default     = "/"

  validation {
    condition     = can(regex("^/([\\w+=,.@-]{1,64}/){0,7}$", var.role_path))
    error_message = "/ or a path such as /security/."
  }
}

variable "permissions_boundary" {
  description = "Managed policy of this account that bounds the role, by name, with its path where it has one, such as security/boundary. Empty sets none."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^([\\w+=,.@-]+(/[\\w+=,.@-]+)*)?$", var.permissions_boundary))
    error_message = "The name of a managed policy such as security/boundary, or nothing."
  }
}

variable "tags" {
  description = "Further tags of the role."
  type        = map(string)
  default     = {}
}
