# deployment rules
@deploy
Feature: Deployments
  Scenario Outline: Deploy to a server
    Given a server "alpha" with <cpus> cores
    When I deploy version 42
    Then the status is "running"
    Examples:
      | cpus |
      | 4    |
