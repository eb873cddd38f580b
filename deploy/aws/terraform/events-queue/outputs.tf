output "queue_url" {
  description = "events.queueUrl of the chart (--events-queue)."
  value       = aws_sqs_queue.this.url
}

output "queue_arn" {
  description = "queue_arn of events-rule, and events_queue_arn of operator-role."
  value       = aws_sqs_queue.this.arn
}
