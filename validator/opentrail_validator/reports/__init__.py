"""What a run tells: text as the AWS CLI has it, JSON, JUnit XML, SARIF. All of one port."""
