{{/* Name of everything in this release. */}}
{{- define "accord.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{/* Labels that select the operator's pods; they never change in an upgrade. */}}
{{- define "accord.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "accord.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "accord.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "accord.fullname" .) -}}
{{- else -}}
{{- required "serviceAccount.name must name an existing ServiceAccount when serviceAccount.create is false" .Values.serviceAccount.name -}}
{{- end -}}
{{- end }}

{{/* An image reference from registry, repository, tag and digest: dict "image" … "defaultTag" … */}}
{{- define "accord.image" -}}
{{- $name := .image.repository -}}
{{- if .image.registry }}{{ $name = printf "%s/%s" .image.registry .image.repository }}{{ end -}}
{{- if .image.digest -}}
{{- printf "%s@%s" $name .image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name (.image.tag | default .defaultTag) -}}
{{- end -}}
{{- end }}

{{/* The rules of one scope in files/permissions.yaml, without the reasons that the docs are made of. */}}
{{- define "accord.rules" -}}
{{- range . }}
- {{ omit . "why" | toYaml | nindent 2 | trim }}
{{- end }}
{{- end }}

{{/* Directory inside the pod with the credentials of one Prometheus endpoint; not below the read-only /etc/accord. */}}
{{- define "accord.endpointDir" -}}
/etc/accord-endpoints/{{ . }}
{{- end }}

{{/* The operator's configuration file. */}}
{{- define "accord.config" -}}
{{- $endpoints := dict -}}
{{- range $name, $endpoint := .Values.prometheus.endpoints -}}
{{- $entry := pick $endpoint "url" "timeout" "headers" "customQueryNamespaces" -}}
{{- with $endpoint.maxResponseMib -}}
{{- $_ := set $entry "maxResponseMib" (int .) -}}
{{- end -}}
{{- $files := dict -}}
{{- range $header, $_ := $endpoint.secretHeaders -}}
{{- $_ := set $files $header (printf "%s/headers/%s" (include "accord.endpointDir" $name) $header) -}}
{{- end -}}
{{- with $files -}}
{{- $_ := set $entry "headerFiles" . -}}
{{- end -}}
{{- with $endpoint.bearerTokenSecret -}}
{{- $_ := set $entry "bearerTokenFile" (printf "%s/token" (include "accord.endpointDir" $name)) -}}
{{- end -}}
{{- with $endpoint.caConfigMap -}}
{{- $_ := set $entry "caFile" (printf "%s/ca.crt" (include "accord.endpointDir" $name)) -}}
{{- end -}}
{{- $_ := set $endpoints $name $entry -}}
{{- end -}}
namespaces: {{ default list .Values.namespaces | toJson }}
prometheus:
  endpoints: {{ if $endpoints }}{{ $endpoints | toYaml | nindent 4 }}{{ else }}{}{{ end }}
envoy:
  image: {{ include "accord.image" (dict "image" .Values.envoy.image) }}
  imagePullPolicy: {{ .Values.envoy.image.pullPolicy }}
  runAsUser: {{ with .Values.runAsUser }}{{ int . }}{{ else }}null{{ end }}
xds:
  host: {{ include "accord.fullname" . }}-xds.{{ .Release.Namespace }}.svc
  port: {{ .Values.xds.port }}
  verifyPeers: {{ .Values.xds.verifyPeers }}
http:
  port: {{ .Values.http.port }}
leaderElection:
  enabled: {{ .Values.leaderElection.enabled }}
  lease: {{ include "accord.fullname" . }}
  leaseDuration: {{ .Values.leaderElection.leaseDuration }}
  renewDeadline: {{ .Values.leaderElection.renewDeadline }}
  retryPeriod: {{ .Values.leaderElection.retryPeriod }}
log:
  level: {{ .Values.log.level }}
  format: {{ .Values.log.format }}
{{- with .Values.traces.endpoint }}
traces:
  endpoint: {{ . }}
  ratio: {{ $.Values.traces.ratio }}
{{- end }}
{{- end }}

{{- /* The port of a URL. */}}
{{- define "accord.port" -}}
{{- $url := urlParse . }}
{{- $parts := splitList ":" $url.host }}
{{- if gt (len $parts) 1 }}{{ last $parts }}{{ else if eq $url.scheme "https" }}443{{ else }}80{{ end }}
{{- end }}
