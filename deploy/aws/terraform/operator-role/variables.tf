variable "identity" {
  description = "PodIdentity (EKS with the Pod Identity agent) or Irsa (IAM roles for service accounts; EKS, or any cluster with an OIDC issuer that AWS can reach)."
  type        = string
  default     = "PodIdentity"

  validation {
    condition     = contains(["PodIdentity", "Irsa"], var.identity)
    error_message = "One of PodIdentity, Irsa."
  }
}

variable "oidc_provider" {
  description = "Irsa only: the cluster's OIDC issuer without https://, such as oidc.eks.eu-central-1.amazonaws.com/id/ABCDEF. An IAM OIDC provider for it must be in this account."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^([A-Za-z0-9][A-Za-z0-9._/-]+)?$", var.oidc_provider))
    error_message = "An issuer without https://."
  }
}

variable "audience" {
  description = "Irsa only: audience of the service account's token, as the EKS webhook asks for it."
  type        = string
  default     = "sts.amazonaws.com"
}

variable "cluster_name" {
  description = "PodIdentity only: EKS cluster in this account and region to make the association in. Empty makes none; cluster_arn then says whose pods may use the role."
  type        = string
  default     = ""
}

variable "cluster_arn" {
  description = "PodIdentity only: ARN of the EKS cluster whose pods may use the role. Empty: that of cluster_name in this account and region."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^(arn:aws(-[a-z]+)*:eks:[a-z0-9-]+:[0-9]{12}:cluster/[0-9A-Za-z][0-9A-Za-z_-]*)?$", var.cluster_arn))
    error_message = "An ARN such as arn:aws:eks:eu-central-1:111122223333:cluster/prod."
  }
}

variable "namespace" {
  description = "Kubernetes namespace of the operator."
  type        = string
  default     = "mfa-operator"
}

variable "service_account" {
  description = "Kubernetes service account of the operator."
  type        = string
  default     = "mfa-operator"
}

variable "member_role_name" {
  description = "Name of the member role (role_name of member-role), the same in every account."
  type        = string
  default     = "mfa-operator"

  validation {
    condition     = can(regex("^[\\w+=,.@-]{1,64}$", var.member_role_name))
    error_message = "1 to 64 of the characters that IAM takes in a role's name."
  }
}

variable "member_role_path" {
  description = "Path of the member role (role_path of member-role), the same in every account."
  type        = string
  default     = "/"

  validation {
    condition     = can(regex("^/([\\w+=,.@-]{1,64}/){0,7}$", var.member_role_path))
    error_message = "/ or a path such as /security/."
  }
}

variable "organization_role_arn" {
  description = "ARN of the role that lists the accounts of the organization (output role_arn of organization-role; it need not exist yet). Empty where no MfaPolicy has spec.organization.roleArn."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^(arn:aws(-[a-z]+)*:iam::[0-9]{12}:role/[\\w+=,.@/-]+)?$", var.organization_role_arn))
    error_message = "An ARN such as arn:aws:iam::222233334444:role/mfa-operator-organization, or nothing."
  }
}

variable "list_organization" {
  description = "true where the operator lists the accounts of the organization with this very role, without spec.organization.roleArn: the account of the cluster is a delegated administrator, or organization-delegation names this role."
  type        = bool
  default     = false
}

variable "events_queue_arn" {
  description = "ARN of the queue of IAM's events (output queue_arn of events-queue; it need not exist yet). Empty for none."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^(arn:aws(-[a-z]+)*:sqs:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,80})?$", var.events_queue_arn))
    error_message = "An ARN such as arn:aws:sqs:us-east-1:999988887777:mfa-operator-events, or nothing."
  }
}

variable "role_name" {
  description = "Name of the operator's own role."
  type        = string
  default     = "mfa-operator-controller"

  validation {
    condition     = can(regex("^[\\w+=,.@-]{1,64}$", var.role_name))
    error_message = "1 to 64 of the characters that IAM takes in a role's name."
  }
}

variable "role_path" {
  description = "Path of the operator's own role, such as /security/."
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
