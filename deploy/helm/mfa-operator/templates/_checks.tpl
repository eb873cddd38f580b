{{/* What no schema can say: values that are each right and cannot be together. The reason comes first, then what to do. */}}
{{- define "mfa-operator.checkContradictions" -}}
{{- $name := include "mfa-operator.fullname" . }}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $name) }}
{{- fail (printf "Kubernetes refuses the name %q, made from the release's name: a Service's name begins with a letter and has no dots. Set fullnameOverride, or name the release otherwise." $name) }}
{{- end }}
{{- if and .Values.serviceMonitor.enabled .Values.podMonitor.enabled }}
{{- fail "Every sample would be scraped twice: serviceMonitor.enabled and podMonitor.enabled are both true. Choose one." }}
{{- end }}
{{- if and .Values.serviceMonitor.enabled (not .Values.service.enabled) }}
{{- fail "A ServiceMonitor finds pods through the Service: serviceMonitor.enabled needs service.enabled=true. Or use podMonitor." }}
{{- end }}
{{- if include "mfa-operator.hasDisruptionBudget" . }}
{{- if not (kindIs "invalid" .Values.podDisruptionBudget.maxUnavailable) }}
{{- if has (toString .Values.podDisruptionBudget.maxUnavailable) (list "0" "0%") }}
{{- fail (printf "No node could be drained: podDisruptionBudget.maxUnavailable is %v. Raise it, or set podDisruptionBudget.enabled=false." .Values.podDisruptionBudget.maxUnavailable) }}
{{- end }}
{{- else }}
{{- $least := .Values.podDisruptionBudget.minAvailable }}
{{- if eq (toString $least) "100%" }}
{{- fail "No node could be drained: podDisruptionBudget.minAvailable is 100%. Lower it, or set podDisruptionBudget.enabled=false." }}
{{- end }}
{{- if and (not (kindIs "string" $least)) (ge (int $least) (int .Values.replicas)) }}
{{- fail (printf "No node could be drained: podDisruptionBudget.minAvailable=%d with replicas=%d. Raise replicas, lower minAvailable, or set podDisruptionBudget.enabled=false." (int $least) (int .Values.replicas)) }}
{{- end }}
{{- end }}
{{- end }}
{{- if and (not .Values.serviceAccount.create) (not .Values.serviceAccount.name) }}
{{- fail "No service account is named: serviceAccount.create=false needs serviceAccount.name, the one that has the rights." }}
{{- end }}
{{- if and (not .Values.serviceAccount.create) .Values.serviceAccount.annotations }}
{{- fail "serviceAccount.annotations has no effect with serviceAccount.create=false: annotate that service account yourself." }}
{{- end }}
{{- if and .Values.image.digest .Values.image.tag }}
{{- fail "Only the digest would count: image.tag and image.digest are both set. Drop one." }}
{{- end }}
{{- if regexMatch "@|:[^/]*$" .Values.image.repository }}
{{- fail (printf "image.repository=%s holds a tag or digest: put it into image.tag or image.digest." .Values.image.repository) }}
{{- end }}
{{- if and .Values.caBundle.configMap .Values.caBundle.secret }}
{{- fail "The CA bundle is named twice: caBundle.configMap and caBundle.secret are both set. Drop one." }}
{{- end }}
{{- if eq (regexFind "[0-9]+$" .Values.metrics.address) (regexFind "[0-9]+$" .Values.health.address) }}
{{- fail (printf "One port cannot serve both: metrics.address is %s and health.address is %s. Change one." .Values.metrics.address .Values.health.address) }}
{{- end }}
{{- if and (eq .Values.service.ipFamilyPolicy "SingleStack") (gt (len .Values.service.ipFamilies) 1) }}
{{- fail "A SingleStack Service has one family: service.ipFamilies names two. Drop one, or set service.ipFamilyPolicy=PreferDualStack." }}
{{- end }}
{{- include "mfa-operator.checkArguments" . }}
{{- include "mfa-operator.checkEnvironment" . }}
{{- range $i, $rule := (.Values.access | default list) }}
{{- if and (not $rule.namespaces) (not $rule.accounts) (not $rule.roles) (lt (add $i 1) (len $.Values.access)) }}
{{- fail (printf "access[%d] matches everything, so that the rules after it never hold. Move it to the end." $i) }}
{{- end }}
{{- end }}
{{- range $name, $_ := .Values.prometheusRule.severities }}
{{- if has $name $.Values.prometheusRule.disabled }}
{{- fail (printf "Alert %s has a severity in prometheusRule.severities, and prometheusRule.disabled leaves it out. Drop one." $name) }}
{{- end }}
{{- end }}
{{- include "mfa-operator.checkCrdOwner" . }}
{{- end }}

{{/* A flag that is given twice: the last one wins. */}}
{{- define "mfa-operator.checkArguments" -}}
{{- $values := dict "--remediation" "remediation" "--config" "access" "--namespace" "watchNamespaces" "--policy-selector" "policySelector" "--metrics-address" "metrics.address" "--health-address" "health.address" "--max-concurrent-accounts" "maxConcurrentAccounts" "--user-violation-info" "metrics.userViolationInfo" "--no-user-violation-info" "metrics.userViolationInfo" "--metrics-per-account-limit" "metrics.perAccountLimit" "--events-queue" "events.queueUrl" "--log-format" "logs.format" "--log-level" "logs.level" "--runbook-base-url" "runbookBaseUrl" }}
{{- range $i, $argument := .Values.extraArgs }}
{{- $flag := regexFind "^[^=]*" $argument }}
{{- with get $values $flag }}
{{- fail (printf "%s in extraArgs[%d] is a value of the chart: set %s instead." $flag $i .) }}
{{- end }}
{{- end }}
{{- end }}

{{/* A variable that is set twice: the API server takes it with a warning, and the last one wins. */}}
{{- define "mfa-operator.checkEnvironment" -}}
{{- $taken := dict }}
{{- if .Values.aws.region }}{{ $_ := set $taken "AWS_REGION" "aws.region" }}{{ end }}
{{- if include "mfa-operator.hasCaBundle" . }}{{ $_ := set $taken "AWS_CA_BUNDLE" "caBundle" }}{{ end }}
{{- if .Values.proxy.https }}{{ $_ := set $taken "HTTPS_PROXY" "proxy.https" }}{{ end }}
{{- if .Values.proxy.http }}{{ $_ := set $taken "HTTP_PROXY" "proxy.http" }}{{ end }}
{{- if or .Values.proxy.https .Values.proxy.http .Values.proxy.noProxy }}{{ $_ := set $taken "NO_PROXY" "proxy" }}{{ end }}
{{- range $i, $entry := .Values.extraEnv }}
{{- if hasPrefix "MFA_OPERATOR_" $entry.name }}
{{- fail (printf "%s in extraEnv[%d] has no effect: the chart's value for it is a flag, which wins. Set that value." $entry.name $i) }}
{{- end }}
{{- if has $entry.name (list "POD_NAME" "POD_NAMESPACE") }}
{{- fail (printf "%s in extraEnv[%d] is set by the chart: leader election goes by it. Drop it." $entry.name $i) }}
{{- end }}
{{- /* Programs read proxies in lower case too, and some prefer that. */}}
{{- $name := ternary (upper $entry.name) $entry.name (hasSuffix "_PROXY" (upper $entry.name)) }}
{{- with get $taken $name }}
{{- fail (printf "%s is set twice, by %s and by extraEnv[%d]. Drop one." $name . $i) }}
{{- end }}
{{- $_ := set $taken $name (printf "extraEnv[%d]" $i) }}
{{- end }}
{{- end }}

{{/* Helm's own message speaks of ownership metadata only. A CRD that an uninstalled release left is not refused here:
     --take-ownership is for that. Without a cluster, as in `helm template`, nothing is looked up. */}}
{{- define "mfa-operator.checkCrdOwner" -}}
{{- if .Values.crds.install }}
{{- $crd := lookup "apiextensions.k8s.io/v1" "CustomResourceDefinition" "" "mfapolicies.mfa-operator.io" }}
{{- $owner := dig "metadata" "annotations" dict $crd }}
{{- $release := get $owner "meta.helm.sh/release-name" }}
{{- $namespace := get $owner "meta.helm.sh/release-namespace" }}
{{- if and $release (or (ne $release .Release.Name) (ne $namespace .Release.Namespace)) }}
{{- range (lookup "apps/v1" "Deployment" $namespace "").items }}
{{- if eq (get (.metadata.annotations | default dict) "meta.helm.sh/release-name") $release }}
{{- fail (printf "The CRDs belong to the release %s in namespace %s: install this one with crds.install=false, and choose watchNamespaces so that no policy is served by both (docs/operations.md)." $release $namespace) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
