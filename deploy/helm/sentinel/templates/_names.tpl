{{- define "sentinel.labels" -}}
app.kubernetes.io/name: sentinel-operator
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}
{{- define "sentinel.secured" -}}
{{- if and .Values.mesh.port (ne .Values.mesh.tls.mode "none") }}true{{ end -}}
{{- end }}
{{- define "sentinel.tag" -}}
{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}
