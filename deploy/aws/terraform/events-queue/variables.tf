variable "organization_id" {
  description = "Id of the organization whose accounts may send (aws organizations describe-organization)."
  type        = string

  validation {
    condition     = can(regex("^o-[a-z0-9]{10,32}$", var.organization_id))
    error_message = "An id such as o-a1b2c3d4e5."
  }
}

variable "sender_role_name" {
  description = "Name of the role that sends (role_name of events-rule), the same in every account."
  type        = string
  default     = "mfa-operator-events"

  validation {
    condition     = can(regex("^[\\w+=,.@-]{1,64}$", var.sender_role_name))
    error_message = "1 to 64 of the characters that IAM takes in a role's name."
  }
}

variable "sender_role_path" {
  description = "Path of the role that sends (role_path of events-rule), the same in every account."
  type        = string
  default     = "/"

  validation {
    condition     = can(regex("^/([\\w+=,.@-]{1,64}/){0,7}$", var.sender_role_path))
    error_message = "/ or a path such as /security/."
  }
}

variable "operator_principal_arn" {
  description = "ARN of the operator's own role (output role_arn of operator-role), where this queue is in another account than that role. It must exist already. Empty in the same account: events_queue_arn of operator-role is enough there."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^(arn:aws(-[a-z]+)*:iam::[0-9]{12}:(role|user)/[!-~]+)?$", var.operator_principal_arn))
    error_message = "An ARN such as arn:aws:iam::999988887777:role/mfa-operator-controller, or nothing."
  }
}

variable "queue_name" {
  description = "The queue's name."
  type        = string
  default     = "mfa-operator-events"

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]{1,80}$", var.queue_name))
    error_message = "1 to 80 letters, digits, - and _."
  }
}

variable "tags" {
  description = "Further tags of the queue."
  type        = map(string)
  default     = {}
}
