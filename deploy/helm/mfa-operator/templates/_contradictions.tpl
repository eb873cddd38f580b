{{/* What no schema can say: values that are each right and cannot be together. */}}
{{- define "mfa-operator.checkContradictions" -}}
{{- if and .Values.serviceMonitor.enabled .Values.podMonitor.enabled }}
{{- fail "serviceMonitor.enabled and podMonitor.enabled are both true: every sample would be scraped twice. Choose one." }}
{{- end }}
{{- if and .Values.serviceMonitor.enabled (not .Values.service.enabled) }}
{{- fail "serviceMonitor.enabled needs service.enabled=true: a ServiceMonitor finds pods through the Service. Or use podMonitor." }}
{{- end }}
{{- if include "mfa-operator.hasDisruptionBudget" . }}
{{- $least := .Values.podDisruptionBudget.minAvailable }}
{{- if eq (toString $least) "100%" }}
{{- fail "podDisruptionBudget.minAvailable=100% would block every drain of a node." }}
{{- end }}
{{- if and (not (kindIs "string" $least)) (ge (int $least) (int .Values.replicas)) }}
{{- fail (printf "podDisruptionBudget.minAvailable=%d with replicas=%d would block every drain of a node. Raise replicas, lower minAvailable, or set podDisruptionBudget.enabled=false." (int $least) (int .Values.replicas)) }}
{{- end }}
{{- end }}
{{- if and (not .Values.serviceAccount.create) (not .Values.serviceAccount.name) }}
{{- fail "serviceAccount.create=false needs serviceAccount.name: which service account has the rights?" }}
{{- end }}
{{- if and (not .Values.serviceAccount.create) .Values.serviceAccount.annotations }}
{{- fail "serviceAccount.annotations has no effect with serviceAccount.create=false: annotate that service account yourself." }}
{{- end }}
{{- if and .Values.image.digest .Values.image.tag }}
{{- fail "image.tag and image.digest are both set: the digest alone would count. Drop one." }}
{{- end }}
{{- if regexMatch "@|:[^/]*$" .Values.image.repository }}
{{- fail (printf "image.repository=%s holds a tag or digest: put it into image.tag or image.digest." .Values.image.repository) }}
{{- end }}
{{- range $i, $entry := .Values.extraEnv }}
{{- if hasPrefix "MFA_OPERATOR_" $entry.name }}
{{- fail (printf "extraEnv[%d] sets %s: use the chart's value for it, whose flag would win." $i $entry.name) }}
{{- end }}
{{- if has $entry.name (list "POD_NAME" "POD_NAMESPACE") }}
{{- fail (printf "extraEnv[%d] sets %s, which the chart sets: leader election goes by it." $i $entry.name) }}
{{- end }}
{{- end }}
{{- range $i, $rule := (.Values.access | default list) }}
{{- if and (not $rule.namespaces) (not $rule.accounts) (not $rule.roles) (lt (add $i 1) (len $.Values.access)) }}
{{- fail (printf "access[%d] matches everything, so that the rules after it never hold. Move it to the end." $i) }}
{{- end }}
{{- end }}
{{- range $name, $_ := .Values.prometheusRule.severities }}
{{- if has $name $.Values.prometheusRule.disabled }}
{{- fail (printf "prometheusRule.severities has %s, which prometheusRule.disabled leaves out." $name) }}
{{- end }}
{{- end }}
{{- end }}
