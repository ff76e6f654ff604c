{{- define "lockstep.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- define "lockstep.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else if contains (include "lockstep.name" .) .Release.Name }}
{{- printf "%s-operator" .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s-operator" .Release.Name (include "lockstep.name" .) | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "lockstep.selectorLabels" -}}
app.kubernetes.io/name: {{ include "lockstep.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "lockstep.labels" -}}
{{ include "lockstep.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: lockstep
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "lockstep.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- .Values.serviceAccount.name | default (include "lockstep.fullname" .) }}
{{- else }}
{{- required "`serviceAccount.name` must be set when `serviceAccount.create` is false" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* Of the whole cluster: two installations of one name must not meet. */}}
{{- define "lockstep.guardName" -}}
{{- printf "%s.%s" (include "lockstep.fullname" .) .Release.Namespace }}
{{- end }}

{{/* An image by digest, by its own tag, by the operator's tag or by the version of the chart. */}}
{{- define "lockstep.image" -}}
{{- $root := index . 0 }}{{ $image := index . 1 }}
{{- $repository := $image.repository }}
{{- with $root.Values.registry }}{{ $repository = printf "%s/%s" . $image.repository }}{{ end }}
{{- if $image.digest }}
{{- printf "%s@%s" $repository $image.digest }}
{{- else }}
{{- printf "%s:%s" $repository ($image.tag | default $root.Values.image.tag | default $root.Chart.AppVersion) }}
{{- end }}
{{- end }}

{{/* Namespaces to watch, comma-separated; empty means all. */}}
{{- define "lockstep.watchNamespaces" -}}
{{- if and (eq .Values.rbac.scope "Namespaced") (empty .Values.watchNamespaces) }}
{{- .Release.Namespace }}
{{- else }}
{{- join "," .Values.watchNamespaces }}
{{- end }}
{{- end }}

{{- define "lockstep.crdMetadata" -}}
labels:
  {{- include "lockstep.labels" . | nindent 2 }}
{{- if or .Values.crds.keep .Values.crds.annotations }}
annotations:
  {{- if .Values.crds.keep }}
  helm.sh/resource-policy: keep
  {{- end }}
  {{- with .Values.crds.annotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
{{- end }}

{{/* Kinds that people write, and those of them that they scale; releases are the operator's own. */}}
{{- define "lockstep.kindsOfPeople" -}}
embeddingmodels, vectorindexes, driftpolicies
{{- end }}
{{- define "lockstep.scalesOfPeople" -}}
embeddingmodels/scale, vectorindexes/scale
{{- end }}

{{/* What the operator may do where it watches. No Secret, no exec, and never a spec of the user's. */}}
{{- define "lockstep.operatorRules" -}}
- apiGroups: [lockstep.dev]
  resources: [embeddingmodels, vectorindexes, driftpolicies]
  verbs: [get, list, watch]
- apiGroups: [lockstep.dev]
  resources: [embeddingreleases]
  # Its spec is immutable: `patch` restores a label that was removed by hand, and nothing else.
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [lockstep.dev]
  resources: [embeddingmodels/status, vectorindexes/status, embeddingreleases/status, driftpolicies/status]
  verbs: [patch]
- apiGroups: [lockstep.dev]
  # blockOwnerDeletion asks for it where OwnerReferencesPermissionEnforcement is on.
  resources: [embeddingmodels/finalizers, embeddingreleases/finalizers, driftpolicies/finalizers]
  verbs: [update]
- apiGroups: [batch]
  resources: [jobs]
  # `patch` as for releases: a Job's template is immutable.
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [services]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [gateway.networking.k8s.io]
  # Whether the Gateways that a model names can copy requests, for `mirror` steps.
  resources: [gateways]
  verbs: [get]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
- apiGroups: [""]
  # What a drift policy has learned: read and written by its name, never listed.
  resources: [configmaps]
  verbs: [create, get, patch]
- apiGroups: [""]
  # Its own, and what the cluster says about Jobs and pods that do not start.
  resources: [events]
  verbs: [list, create]
{{- end }}
