variable "operator_principal_arn" {
  description = "ARN of the operator's own role (output RoleArn of operator-role.yaml). It must exist already. When it is deleted and made again, apply this module again: IAM keeps the identity of the role and not its name."
  type        = string

  validation {
    condition     = can(regex("^arn:aws(-[a-z]+)*:iam::[0-9]{12}:(root|(role|user)/[!-~]+)$", var.operator_principal_arn))
    error_message = "An ARN such as arn:aws:iam::111122223333:role/mfa-operator-controller."
  }
}

variable "external_id" {
  description = "What the operator must send as well (externalId of the account in the MfaPolicy). Empty asks for none. Give one where several teams write MfaPolicies for one operator: without it, any of them can name this role."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^([\\w+=,.@:/-]{2,})?$", var.external_id)) && length(var.external_id) <= 1224
    error_message = "2 to 1224 of the characters that sts:ExternalId takes, or nothing."
  }
}

variable "additional_principal_arn" {
  description = "ARN of one more role or user that may assume the role, with the same external id: whoever is on call and has to lift a quarantine or see a plan from a laptop. Empty trusts the operator alone; its pod can be used instead (kubectl exec)."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^(arn:aws(-[a-z]+)*:iam::[0-9]{12}:(role|user)/[!-~]+)?$", var.additional_principal_arn))
    error_message = "An ARN such as arn:aws:iam::111122223333:role/on-call, or nothing."
  }
}

variable "mode" {
  description = "What the role may do beyond reading. The operator's settings and the MfaPolicy decide what happens; this decides what can."
  type        = string
  default     = "Audit"

  validation {
    condition     = contains(["Audit", "Quarantine", "RemoveConsoleAccess", "QuarantineAndRemoveConsoleAccess"], var.mode)
    error_message = "One of Audit, Quarantine, RemoveConsoleAccess, QuarantineAndRemoveConsoleAccess."
  }
}

variable "role_name" {
  description = "The role's name, the same in every account. The operator's own role may assume roles of this name alone."
  type        = string
  default     = "mfa-operator"

  validation {
    condition     = can(regex("^[\\w+=,.@-]{1,64}$", var.role_name))
    error_message = "1 to 64 of the characters that IAM takes in a role's name."
  }
}

variable "role_path" {
  description = "The role's path, the same in every account, such as /security/. MemberRolePath of operator-role.yaml has to be the same."
  type        = string
  default     = "/"

  validation {
    condition     = can(regex("^/([\\w+=,.@-]{1,64}/){0,7}$", var.role_path))
    error_message = "/ or a path such as /security/."
  }
}

variable "permissions_boundary" {
  description = "Managed policy of the same account that bounds the role, by name, with its path where it has one, such as security/boundary. Empty sets none."
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
