{{- define "mfa-operator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" }}
{{- end }}

{{/* At most 50 characters, so that suffixes fit into the 63 of a name. */}}
{{- define "mfa-operator.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else if contains (include "mfa-operator.name" .) .Release.Name }}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "mfa-operator.name" .) | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* Where everything goes that has a namespace. */}}
{{- define "mfa-operator.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride }}
{{- end }}

{{/* Cluster-wide names hold the namespace, so that releases of one name in two namespaces do not meet. */}}
{{- define "mfa-operator.clusterName" -}}
{{- $full := include "mfa-operator.fullname" . }}
{{- $namespace := include "mfa-operator.namespace" . }}
{{- if eq $full $namespace }}{{ $full }}{{ else }}{{ printf "%s-%s" $namespace $full }}{{ end }}
{{- end }}

{{- define "mfa-operator.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "mfa-operator.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "mfa-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ include "mfa-operator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "mfa-operator.labels" -}}
{{- $own := include "mfa-operator.selectorLabels" . | fromYaml }}
{{- $_ := set $own "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63) }}
{{- $_ := set $own "app.kubernetes.io/version" .Chart.AppVersion }}
{{- $_ := set $own "app.kubernetes.io/managed-by" .Release.Service }}
{{- toYaml (merge $own .Values.commonLabels) }}
{{- end }}

{{/* The first part of a repository is a registry where it has a dot or a port, or is localhost. */}}
{{- define "mfa-operator.image" -}}
{{- $repository := .Values.image.repository }}
{{- with .Values.global.imageRegistry }}
{{- $repository = printf "%s/%s" (trimSuffix "/" .) (regexReplaceAll "^(localhost|[^/]*[.:][^/]*)/" $repository "") }}
{{- end }}
{{- if .Values.image.digest }}
{{- printf "%s@%s" $repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" $repository (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
{{- end }}

{{/* Secrets are named by themselves or as {name: …}, as other charts' global values have them. */}}
{{- define "mfa-operator.imagePullSecrets" -}}
{{- $secrets := list }}
{{- range concat .Values.global.imagePullSecrets .Values.imagePullSecrets }}
{{- $secrets = append $secrets (dict "name" (kindIs "string" . | ternary . (get (kindIs "string" . | ternary dict .) "name"))) }}
{{- end }}
{{- with $secrets }}{{ uniq . | toYaml }}{{ end }}
{{- end }}

{{/* OpenShift gives each namespace ids of its own and refuses the chart's; an id that was changed is the user's choice. */}}
{{- define "mfa-operator.podSecurityContext" -}}
{{- $context := deepCopy .Values.podSecurityContext }}
{{- if .Capabilities.APIVersions.Has "security.openshift.io/v1" }}
{{- range list "runAsUser" "runAsGroup" "fsGroup" }}
{{- if eq (get $context . | toString) "65532" }}{{ $_ := unset $context . }}{{ end }}
{{- end }}
{{- end }}
{{- toYaml $context }}
{{- end }}

{{- define "mfa-operator.hasCaBundle" -}}
{{- if or .Values.caBundle.configMap .Values.caBundle.secret }}true{{ end }}
{{- end }}

{{/* YAML reads an unquoted on or off as a boolean. */}}
{{- define "mfa-operator.remediation" -}}
{{- if kindIs "bool" .Values.remediation }}{{ ternary "on" "off" .Values.remediation }}{{ else }}{{ .Values.remediation }}{{ end }}
{{- end }}

{{/* Without rules of the user's own: the namespaces that are watched, by name, else the operator's own. */}}
{{- define "mfa-operator.accessRules" -}}
{{- if kindIs "slice" .Values.access }}
{{- dict "access" .Values.access | toYaml }}
{{- else }}
{{- $served := .Values.watchNamespaces | default (list (include "mfa-operator.namespace" .)) }}
{{- dict "access" (list (dict "namespaces" $served)) | toYaml }}
{{- end }}
{{- end }}

{{/* A namespace whose policies are watched and may audit: the first that a rule names without wildcards. */}}
{{- define "mfa-operator.exampleNamespace" -}}
{{- $watched := .Values.watchNamespaces | default list }}
{{- $example := "" }}
{{- range (include "mfa-operator.accessRules" . | fromYaml).access }}
{{- range .namespaces }}
{{- if and (not $example) (not (regexMatch "[*?[]" .)) (or (not $watched) (has . $watched)) }}{{ $example = . }}{{ end }}
{{- end }}
{{- end }}
{{- $example | default (first (concat $watched (list (include "mfa-operator.namespace" .)))) }}
{{- end }}

{{- define "mfa-operator.hasDisruptionBudget" -}}
{{- $wanted := .Values.podDisruptionBudget.enabled }}
{{- if kindIs "bool" $wanted }}{{ if $wanted }}true{{ end }}{{ else if gt (int .Values.replicas) 1 }}true{{ end }}
{{- end }}

{{/* The strongest remediation that the access rules allow: empty, QuarantineUntilMfa or RemoveConsoleAccess. */}}
{{- define "mfa-operator.strongestRemediation" -}}
{{- $strongest := "" }}
{{- range (.Values.access | default list) }}
{{- if eq (.remediation | default "None") "RemoveConsoleAccess" }}{{ $strongest = "RemoveConsoleAccess" }}
{{- else if and (eq (.remediation | default "None") "QuarantineUntilMfa") (not $strongest) }}{{ $strongest = "QuarantineUntilMfa" }}
{{- end }}
{{- end }}
{{- $strongest }}
{{- end }}

{{/* Rights on the objects of the served namespaces: those of deploy/rbac.yaml; a test holds them equal. */}}
{{- define "mfa-operator.rules" -}}
- apiGroups: [mfa-operator.io]
  resources: [mfapolicies]
  verbs: [get, list, watch]
- apiGroups: [mfa-operator.io]
  resources: [mfapolicies/status]
  verbs: [update]
- apiGroups: [mfa-operator.io]
  resources: [mfareports]
  verbs: [get, list, create, delete]
- apiGroups: [mfa-operator.io]
  resources: [mfareports/status]
  verbs: [update]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [get]
{{- end }}
