variable "queue_arn" {
  description = "ARN of the queue (output queue_arn of events-queue), in this region."
  type        = string

  validation {
    condition     = can(regex("^arn:aws(-[a-z]+)*:sqs:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,80}$", var.queue_arn))
    error_message = "An ARN such as arn:aws:sqs:us-east-1:999988887777:mfa-operator-events."
  }
}

variable "organization_events" {
  description = "true in the management account: sends there, too, that an account joined or left the organization. In China these events come in another region than IAM's, so leave it at false there; the list of accounts is then read at its interval."
  type        = bool
  default     = false
}

variable "role_name" {
  description = "Name of the role that sends, the same in every account. The queue takes messages from roles of this name alone."
  type        = string
  default     = "mfa-operator-events"

  validation {
    condition     = can(regex("^[\\w+=,.@-]{1,64}$", var.role_name))
    error_message = "1 to 64 of the characters that IAM takes in a role's name."
  }
}

variable "role_path" {
  description = "Path of the role that sends, the same in every account. sender_role_path of events-queue has to be the same."
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
  description = "Further tags of the role and the rules."
  type        = map(string)
  default     = {}
}
