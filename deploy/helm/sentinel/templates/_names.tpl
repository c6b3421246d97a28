{{- define "sentinel.labels" -}}
app.kubernetes.io/name: sentinel-operator
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}
{{- define "sentinel.tag" -}}
{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}
